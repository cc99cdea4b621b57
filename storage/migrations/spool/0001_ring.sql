-- The ring log. seg0, seg1, ... (id INTEGER PRIMARY KEY, body BLOB) are made on demand.
CREATE TABLE meta(k TEXT PRIMARY KEY, v INT) WITHOUT ROWID;
CREATE TABLE segs(slot INTEGER PRIMARY KEY, base INT NOT NULL, sealed INT NOT NULL, rows BLOB);
CREATE TABLE owed(slot INT, session INT, bits BLOB, PRIMARY KEY(slot, session)) WITHOUT ROWID;
CREATE TABLE session(id INTEGER PRIMARY KEY, client TEXT UNIQUE, meta BLOB);
CREATE TABLE sub(session INT, filter TEXT, opts BLOB, PRIMARY KEY(session, filter)) WITHOUT ROWID;
CREATE TABLE q2in(session INT, pid INT, PRIMARY KEY(session, pid)) WITHOUT ROWID;
CREATE TABLE q2out(session INT, id INT, PRIMARY KEY(session, id)) WITHOUT ROWID;
CREATE TABLE retained(topic TEXT PRIMARY KEY, body BLOB);
