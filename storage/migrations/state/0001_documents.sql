CREATE TABLE document(bucket TEXT, key TEXT, value BLOB NOT NULL, PRIMARY KEY(bucket, key));
-- at is Unix time in nanoseconds
CREATE TABLE revision(n INTEGER PRIMARY KEY AUTOINCREMENT, at INT NOT NULL, author TEXT NOT NULL, summary TEXT NOT NULL, doc BLOB NOT NULL);
