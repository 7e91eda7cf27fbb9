package hone

import "embed"

// Python is the source of the Python package that python/ is about: its modules
// at python/src/hone. It needs nothing but Python, so whoever writes a starter
// may put it beside it.
//
//go:embed python/src/hone/*.py python/src/hone/py.typed
var Python embed.FS

// Starter is the example that uses it, at examples/python: documents, a
// generator, a gate and a training job, which run as they are.
//
//go:embed examples/python/*.py examples/python/*.yaml examples/python/*.md
var Starter embed.FS
