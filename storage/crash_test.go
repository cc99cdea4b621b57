package storage_test

const childEnv = "FIELDGATE_STORAGE_CHILD"

func child(string) {}
