// Package gpuworker is both ends of the workers' websocket: the [Hub] that the
// server runs and the [Agent] on a GPU box. The wire format between them never
// leaves this package.
package gpuworker
