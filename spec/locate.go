package spec

// Locate gives a refusal of what a document names, made by who knows what there
// is, its place in the document, as if it had been refused here. An error without
// a field, or one that no document explains, is returned as it is.
func Locate(doc []byte, err error) error {
	if err == nil {
		return nil
	}
	root, broken := parse(doc)
	if broken != nil {
		return err
	}
	places := make(map[string]*node)
	note(places, root, "")
	return placed(err, places, root)
}

// note notes the places of everything below a node, by path.
func note(places map[string]*node, n *node, path string) {
	for i, item := range n.items {
		below := at(path, i)
		if n.sort == mapping {
			below = n.keys[i].text
			if path != "" {
				below = path + "." + below
			}
		}
		places[below] = item
		note(places, item, below)
	}
}
