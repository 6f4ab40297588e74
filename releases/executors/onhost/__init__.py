"""What an executor runs on a host: standard library only, Python 3.7 and later, as root.

It is sent over for every question and answers in JSON (`entry`). A job itself is a detached process (`work`) that
needs nobody any more and writes down what it does before doing it (`ledger`), so that it can be found again by its
key whatever became of the connection, of whoever ordered it, or of the host's power.
"""
