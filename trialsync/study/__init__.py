"""One study record, read and compared. Pure: no I/O, no clock, no logging."""
