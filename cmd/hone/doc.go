// Command hone is the one binary of Hone: server, worker, demo and the commands
// of those who use them. It is the only place that knows every package, and
// holds wiring and wording, no logic.
//
// # What it owns
//
// One file per command, listed in main.go. The commands in this build that talk
// to a server do so through package api alone, so that what they can do, any
// script can. Data goes to stdout, everything else to stderr.
//
// # Failures
//
// The exit code says what went wrong: 0 nothing, 1 failure, 2 wrong usage, 3 not
// found, 4 conflict, 6 no server or none that could answer, 130 interrupted.
package main
