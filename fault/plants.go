package fault

// Plants are the bugs that can be planted: what is broken, in a sentence.
var Plants = map[string]string{
	"delete a key of the open epoch": "a collection also deletes what is put after the epoch was closed (C18)",
}
