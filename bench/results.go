package main

func writeResults(string, map[string][]measure, *options) error { return nil }
