// Package hone is the root of Hone: which synthetic data a model needs next,
// made on a fleet of workers, checked, counted exactly, and learnt from.
//
// It holds no code but the test of the import law, and hands on what is written
// in Python, which no folder of Go could embed. The parts are the folders beside
// this file, each with a doc.go that says what it owns; the vocabulary and every
// decision are in package loop, the binary is in cmd/hone.
package hone
