package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// object is a JSON object with all its fields, including unknown ones.
type object map[string]any

// pod has the fields of a pod that are read and changed here.
type pod struct {
	name, generateName  string
	labels, annotations map[string]string
	serviceAccount      string
	windows             bool
	hostNetwork         bool
	restartPolicy       string
	initContainers      []*container
	containers          []*container
	volumes             []object
	hostAliases         []object

	root, spec object
}

type container struct {
	object
	name   string
	env    []object
	mounts []object
}

// decode reads one JSON object. Numbers keep their notation.
func decode(data []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var root object
	if err := d.Decode(&root); err != nil {
		return nil, fmt.Errorf("read the pod: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read the pod: expected one JSON object, found more behind it")
	}
	if root == nil {
		return nil, errors.New("read the pod: expected a JSON object, found null")
	}
	return root, nil
}

func parse(data []byte) (*pod, error) {
	root, err := decode(data)
	if err != nil {
		return nil, err
	}
	r := &reader{}
	meta := r.object(root, "", "metadata")
	p := &pod{root: root, spec: r.object(root, "", "spec")}
	p.name, p.generateName = r.text(meta, "metadata", "name"), r.text(meta, "metadata", "generateName")
	p.labels, p.annotations = r.texts(meta, "metadata", "labels"), r.texts(meta, "metadata", "annotations")
	p.serviceAccount = r.text(p.spec, "spec", "serviceAccountName")
	p.windows = r.text(r.object(p.spec, "spec", "os"), "spec.os", "name") == "windows"
	p.hostNetwork = read[bool](r, p.spec, "spec", "hostNetwork", "true or false")
	p.restartPolicy = r.text(p.spec, "spec", "restartPolicy")
	p.initContainers, p.containers = r.containers(p.spec, "initContainers"), r.containers(p.spec, "containers")
	p.volumes = r.named(p.spec, "spec", "volumes")
	p.hostAliases = r.objects(p.spec, "spec", "hostAliases")
	for i, alias := range p.hostAliases {
		at := fmt.Sprintf("spec.hostAliases[%d]", i)
		r.text(alias, at, "ip")
		r.list(alias, at, "hostnames")
		for n := range hostnames(alias) {
			if _, ok := list(alias, "hostnames")[n].(string); !ok {
				r.refuse(fmt.Sprintf("%s.hostnames[%d]", at, n), "a host name", list(alias, "hostnames")[n])
			}
		}
	}
	if p.spec == nil {
		r.refuse("spec", "an object", nil)
	}
	return p, r.err
}

// render writes changed fields back into the pod's JSON, without new empty lists.
func (p *pod) render() object {
	put(p.spec, "initContainers", rendered(p.initContainers))
	put(p.spec, "containers", rendered(p.containers))
	put(p.spec, "volumes", p.volumes)
	put(p.spec, "hostAliases", p.hostAliases)
	return p.root
}

func rendered(containers []*container) []object {
	var all []object
	for _, c := range containers {
		put(c.object, "env", c.env)
		put(c.object, "volumeMounts", c.mounts)
		all = append(all, c.object)
	}
	return all
}

func put(into object, field string, objects []object) {
	if len(objects) == 0 {
		return
	}
	all := make([]any, len(objects))
	for i, o := range objects {
		all[i] = map[string]any(o)
	}
	into[field] = all
}

// set replaces the object of that name in a list, or appends it.
func set(list []object, o object) []object {
	for i := range list {
		if list[i]["name"] == o["name"] {
			list[i] = o
			return list
		}
	}
	return append(list, o)
}

func has(list []object, name string) bool { return find(list, name) != nil }

func find(list []object, name string) object {
	for _, o := range list {
		if o["name"] == name {
			return o
		}
	}
	return nil
}

func list(of object, field string) []any {
	all, _ := of[field].([]any)
	return all
}

func hostnames(alias object) []string {
	var all []string
	for _, name := range list(alias, "hostnames") {
		text, _ := name.(string)
		all = append(all, text)
	}
	return all
}

// reader reads typed fields and remembers the first error. Missing and null are empty.
type reader struct{ err error }

func (r *reader) refuse(field, expected string, found any) {
	if r.err != nil {
		return
	}
	what := "a number" // JSON and YAML have several types of them
	switch found.(type) {
	case nil:
		what = "nothing"
	case string:
		what = "text"
	case bool:
		what = "a truth value"
	case time.Time:
		what = "a date"
	case []any:
		what = "a list"
	case map[string]any:
		what = "an object"
	}
	r.err = fmt.Errorf("read the pod: %s: expected %s, found %s", field, expected, what)
}

func below(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

func read[T any](r *reader, of object, path, field, expected string) T {
	value, ok := of[field].(T)
	if !ok && of[field] != nil {
		r.refuse(below(path, field), expected, of[field])
	}
	return value
}

func (r *reader) object(of object, path, field string) object {
	return read[map[string]any](r, of, path, field, "an object")
}

func (r *reader) text(of object, path, field string) string {
	return read[string](r, of, path, field, "text")
}

func (r *reader) texts(of object, path, field string) map[string]string {
	values := r.object(of, path, field)
	texts := make(map[string]string, len(values))
	for name := range values {
		texts[name] = r.text(values, below(path, field), name)
	}
	return texts
}

func (r *reader) list(of object, path, field string) []any {
	return read[[]any](r, of, path, field, "a list")
}

func (r *reader) objects(of object, path, field string) []object {
	var all []object
	for i, value := range r.list(of, path, field) {
		o, ok := value.(map[string]any)
		if !ok {
			r.refuse(fmt.Sprintf("%s[%d]", below(path, field), i), "an object", value)
			continue
		}
		all = append(all, o)
	}
	return all
}

func (r *reader) named(of object, path, field string) []object {
	all := r.objects(of, path, field)
	for i, o := range all {
		r.text(o, fmt.Sprintf("%s[%d]", below(path, field), i), "name")
	}
	return all
}

func (r *reader) containers(spec object, field string) []*container {
	var all []*container
	for i, o := range r.named(spec, "spec", field) {
		at := fmt.Sprintf("spec.%s[%d]", field, i)
		c := &container{object: o, env: r.named(o, at, "env"), mounts: r.named(o, at, "volumeMounts")}
		c.name, _ = o["name"].(string)
		for n, e := range c.env {
			r.text(e, fmt.Sprintf("%s.env[%d]", at, n), "value")
		}
		all = append(all, c)
	}
	return all
}
