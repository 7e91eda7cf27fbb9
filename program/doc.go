// Package program runs the programs that users bring, generators and gates, as
// long-lived child processes that speak JSON lines on standard input and output;
// PROTOCOL.md is the page that their authors read.
//
// It owns the processes: each has a process group of its own and is gone, with
// everything it started, when the pool that keeps it is closed or this process
// dies, kill -9 included; only what leaves its group is beyond us. It trusts nothing that a program says: lines are bounded, files are read
// below the unit's directory alone and measured before they are read, and any
// breach ends the process and fails the unit in hand, never the worker. A program
// that fails is started again after a pause that doubles. [CheckGenerator] and
// [CheckGate] hold a program to the page before it is used.
package program
