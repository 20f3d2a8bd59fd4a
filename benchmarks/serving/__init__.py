"""What an action costs beside the same server's echo, and beside other model servers."""
