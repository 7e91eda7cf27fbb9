package hone

import "embed"

// Python is the source of the Python package that python/ is about: its modules
// at python/src/hone. It needs nothing but Python, so whoever writes a starter
// may put it beside it.
//
//go:embed python/src/hone/*.py python/src/hone/py.typed
var Python embed.FS
