"""The web pages: server-rendered, readable without JavaScript, live with it."""
