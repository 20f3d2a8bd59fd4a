"""Time series of prices: read strictly, split by time, traded. No torch, no Gymnasium: the server
checks what is uploaded with the very code that training reads it with."""
