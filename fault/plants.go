package fault

// Plants are the bugs that can be planted: what is broken, in a sentence.
var Plants = map[string]string{}
