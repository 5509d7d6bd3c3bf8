package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Container is a container's variables, and where they come from.
type Container struct {
	Name    string    `yaml:"name"`
	Env     []Env     `yaml:"env"`
	EnvFrom []EnvFrom `yaml:"envFrom"`
}

// Env is a variable that a container names.
type Env struct {
	Name      string `yaml:"name"`
	Value     string `yaml:"value"`
	ValueFrom *struct {
		ConfigMapKeyRef  *keyRef `yaml:"configMapKeyRef"`
		SecretKeyRef     *keyRef `yaml:"secretKeyRef"`
		FieldRef         *field  `yaml:"fieldRef"`
		ResourceFieldRef *struct {
			Resource string `yaml:"resource"`
		} `yaml:"resourceFieldRef"`
	} `yaml:"valueFrom"`
}

type keyRef struct {
	Name     string `yaml:"name"`
	Key      string `yaml:"key"`
	Optional bool   `yaml:"optional"`
}

type field struct {
	FieldPath string `yaml:"fieldPath"`
}

// EnvFrom is a config map or secret, all keys of which become variables.
type EnvFrom struct {
	Prefix       string     `yaml:"prefix"`
	ConfigMapRef *valuesRef `yaml:"configMapRef"`
	SecretRef    *valuesRef `yaml:"secretRef"`
}

type valuesRef struct {
	Name     string `yaml:"name"`
	Optional bool   `yaml:"optional"`
}

// Variable is a variable of a container that runs.
type Variable struct {
	Name, Value string
	From        string // source of the value: key ID of secret shop/ids. If empty, the container
	Unknown     bool   // its source is in none of the files
}

// InFiles reports whether another file could hold the value of an unknown variable: a field of
// the pod is known only in a cluster.
func (v Variable) InFiles() bool {
	return !strings.HasPrefix(v.From, "field ") && !strings.HasPrefix(v.From, "resource ")
}

// Environ holds the variables of a container, as far as the files show.
type Environ struct {
	Variables []Variable // each name once, in the order in which they are set
	Missing   []string   // what the container cannot start without

	others  []other
	at      map[string]int // where in Variables a name is
	size    int            // bytes of all names and values
	refused *refused       // nil if all variables are there
}

// refused is a variable that no program can have. Those behind it are not there.
type refused struct {
	name                 string
	index                int // in the container's env; -1: envFrom
	expected, found, fix string
}

// maxVariable is the length of NAME=VALUE with the zero behind it that Linux lets a
// program have. Source: include/uapi/linux/binfmts.h, MAX_ARG_STRLEN.
const maxVariable = 128 << 10

// Of all variables of a container, and of all containers: values that name one another
// grow as powers do.
const (
	maxVariables    = 1 << 20
	maxAllVariables = 64 << 20
)

// other is a source of variables that is in none of the files.
type other struct{ prefix, name string }

// Find returns the variable of a name. If none is set, perhaps names the sources outside the
// files that may set it.
func (e Environ) Find(name string) (v Variable, set bool, perhaps string) {
	if i, set := e.at[name]; set {
		return e.Variables[i], true, ""
	}
	for _, o := range e.others {
		if strings.HasPrefix(name, o.prefix) {
			return Variable{}, false, o.name
		}
	}
	return Variable{}, false, ""
}

// Others returns the config maps and secrets that set variables and are in none of the files.
func (e Environ) Others() []string {
	var all []string
	for _, o := range e.others {
		if !slices.Contains(all, o.name) {
			all = append(all, o.name)
		}
	}
	return all
}

// set sets a variable, element index of the container's env, unless it is too long.
func (e *Environ) set(v Variable, index int) {
	switch size := len(v.Name) + len("=") + len(v.Value) + 1; {
	case e.refused != nil:
	case strings.Contains(v.Value, "\x00"):
		e.refused = &refused{v.Name, index, "text", "text with a zero character, which ends it", "leave it out"}
	case size > maxVariable:
		e.tooLong(v.Name, index, "at most 128 KiB, the limit of Linux")
	case e.size+size > maxVariables:
		e.tooLong(v.Name, index, "at most 1 MiB of variables in the container")
	default:
		e.size += size
		e.at[v.Name] = len(e.Variables)
		e.Variables = append(e.Variables, v)
	}
}

func (e *Environ) tooLong(name string, index int, limit string) {
	e.refused = &refused{name, index, limit, "more, with the variables that it names", "name fewer, or shorten them"}
}

// last removes all but the last variable of each name.
func (e *Environ) last() {
	all := e.Variables[:0]
	for i, v := range e.Variables {
		if e.at[v.Name] == i {
			e.at[v.Name] = len(all)
			all = append(all, v)
		}
	}
	e.Variables = all
}

// Environ returns the variables of a container of pods: those of envFrom, then
// those of env, which may name the ones before. Source: Kubernetes,
// pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables.
func (o *Objects) Environ(p *Pods, c Container) Environ {
	e := Environ{at: map[string]int{}}
	for _, from := range c.EnvFrom {
		for _, ref := range []struct {
			kind string
			*valuesRef
		}{{"ConfigMap", from.ConfigMapRef}, {"Secret", from.SecretRef}} {
			if ref.valuesRef == nil {
				continue
			}
			name := called(ref.kind, p.Namespace, ref.Name)
			values, known := o.values[ref.kind+"/"+p.Namespace+"/"+ref.Name]
			if !known {
				e.others = append(e.others, other{from.Prefix, name})
			}
			for _, key := range slices.Sorted(maps.Keys(values)) {
				e.set(Variable{Name: from.Prefix + key, Value: values[key], From: name}, -1)
			}
		}
	}
	for i, env := range c.Env {
		v, set := o.variable(&e, p, env, i)
		if e.refused != nil {
			break
		}
		if set {
			e.set(v, i)
		}
	}
	e.last()
	return e
}

func called(kind, namespace, name string) string {
	return map[string]string{"ConfigMap": "config map ", "Secret": "secret "}[kind] + namespace + "/" + name
}

func (o *Objects) variable(e *Environ, p *Pods, env Env, index int) (v Variable, set bool) {
	v = Variable{Name: env.Name}
	from := env.ValueFrom
	switch {
	case env.Value != "" || from == nil:
		v.Value, v.From, v.Unknown = e.expand(env, index)
		return v, true
	case from.ConfigMapKeyRef != nil:
		return o.key(e, v, p, "ConfigMap", *from.ConfigMapKeyRef)
	case from.SecretKeyRef != nil:
		return o.key(e, v, p, "Secret", *from.SecretKeyRef)
	case from.FieldRef != nil:
		v.From = "field " + from.FieldRef.FieldPath
		v.Value, set = p.field(from.FieldRef.FieldPath)
		v.Unknown = !set
		return v, true
	case from.ResourceFieldRef != nil:
		v.From, v.Unknown = "resource "+from.ResourceFieldRef.Resource, true
		return v, true
	}
	v.From, v.Unknown = "a source that wiemu does not know", true
	return v, true
}

// key is a variable from one key of a config map or secret.
func (o *Objects) key(e *Environ, v Variable, p *Pods, kind string, ref keyRef) (Variable, bool) {
	v.From = "key " + ref.Key + " of " + called(kind, p.Namespace, ref.Name)
	values, known := o.values[kind+"/"+p.Namespace+"/"+ref.Name]
	value, given := values[ref.Key]
	switch {
	case !known:
		v.Unknown = true
	case !given && !ref.Optional:
		e.Missing = append(e.Missing, fmt.Sprintf("%s: there is no %s", v.Name, v.From))
		return v, false
	case !given:
		return v, false
	}
	v.Value = value
	return v, true
}

// field returns a field of the pod that is known before it runs.
func (p *Pods) field(path string) (value string, known bool) {
	metadata, spec := p.Template.Metadata, p.Template.Spec
	name, key, indexed := strings.Cut(strings.TrimSuffix(path, "']"), "['")
	switch {
	case indexed && name == "metadata.labels":
		return metadata.Labels[key], true
	case indexed && name == "metadata.annotations":
		return metadata.Annotations[key], true
	case path == "metadata.namespace":
		return p.Namespace, true
	case path == "metadata.name" && p.Kind == "Pod":
		return p.Name, true
	case path == "metadata.name" && p.Kind == "StatefulSet":
		return p.Name + "-0", true
	case path == "spec.serviceAccountName":
		return spec.ServiceAccountName, true
	case path == "spec.nodeName":
		return spec.NodeName, spec.NodeName != ""
	}
	return "", false
}

// expand replaces $(NAME) by the variable, if there is one, and $$ by $. Source:
// Kubernetes, third_party/forked/golang/expansion. What gets longer than a variable may
// be is refused before it is there.
func (e *Environ) expand(env Env, index int) (value, from string, unknown bool) {
	var b strings.Builder
	text := env.Value
	for {
		before, after, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), from, unknown
		}
		text = after
		name, rest, closed := strings.Cut(strings.TrimPrefix(text, "("), ")")
		switch {
		case strings.HasPrefix(text, "$"):
			b.WriteByte('$')
			text = text[1:]
		case strings.HasPrefix(text, "(") && closed:
			text = rest
			v, set, perhaps := e.Find(name)
			switch {
			case set && b.Len()+len(v.Value) > maxVariable:
				e.tooLong(env.Name, index, "at most 128 KiB, the limit of Linux")
				return "", "", false
			case set && !v.Unknown:
				b.WriteString(v.Value)
			case set:
				from, unknown = v.From, true
			case perhaps != "":
				from, unknown = perhaps, true
			default:
				b.WriteString("$(" + name + ")")
			}
		default:
			b.WriteByte('$')
		}
	}
}
