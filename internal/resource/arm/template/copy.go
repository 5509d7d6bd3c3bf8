package template

type loop struct {
	name    string
	index   int64
	unknown bool // how often it runs is not known, and this copy stands for all of them
}

// isCopy tells copy loops from an array that is called copy.
func isCopy(list []any) bool {
	for _, l := range list {
		o, ok := l.(*Object)
		if !ok || o.Get("name") == nil || o.Get("count") == nil {
			return false
		}
	}
	return len(list) > 0
}

// maxCopies is how often a loop may run.
// Source: azure-docs, azure-resource-manager/templates/copy-resources.md, "Copy limits".
const maxCopies = 800

// count is how often a loop runs: as an Unknown if that is not known. The text of a count above the
// limit is inferred; that below 0 too.
func (e *environment) count(v any, path string) (n int, unknown any, err error) {
	v, err = e.value(v, path)
	if err != nil {
		return 0, nil, err
	}
	if _, ok := v.(Unknown); ok {
		return 0, v, nil
	}
	whole, ok := v.(int64)
	switch {
	case !ok:
		return 0, nil, at(failf("The copy count is of type '%s'. The expected type is 'Integer'.", typeName(v)), path)
	case whole < 0 || whole > maxCopies:
		return 0, nil, at(failf("The copy count '%d' is not valid. It must be between '0' and '%d'.", whole, maxCopies), path)
	}
	return int(whole), nil, nil
}

// copies makes the array of a loop in properties or variables.
func (e *environment) copies(into, l *Object, path string) error {
	name, err := e.value(l.Get("name"), path+".name")
	if err != nil {
		return err
	}
	text, _ := name.(string)
	n, unknown, err := e.count(l.Get("count"), path+".count")
	if err != nil {
		return err
	}
	if unknown != nil {
		_, err := e.input(l, path, loop{name: text, unknown: true}) // for what it refers to
		into.Set(text, unknown)
		if err != nil && e.budget.lasting(err) {
			return err
		}
		return nil
	}
	made := make([]any, n)
	for i := range made {
		if made[i], err = e.input(l, path, loop{name: text, index: int64(i)}); err != nil {
			return err
		}
	}
	into.Set(text, made)
	return nil
}

// input evaluates what a loop in properties or variables makes once.
func (e *environment) input(l *Object, path string, in loop) (any, error) {
	e.loops = append(e.loops, in)
	defer func() { e.loops = e.loops[:len(e.loops)-1] }()
	return e.value(l.Get("input"), path+".input")
}
