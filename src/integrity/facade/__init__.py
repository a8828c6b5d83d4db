"""What the two facades are made of: handles, cursors and transactions, blocking and asynchronous."""
