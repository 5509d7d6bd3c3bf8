package issuer

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// ServiceAccount is a service account that tokens are minted for.
type ServiceAccount struct {
	Namespace   string
	Name        string
	UID         string            // derived from issuer, namespace and name: the same in every run
	Annotations map[string]string // such as azure.workload.identity/client-id
	CreatedAt   time.Time         // lab time
}

// Pod is what projected tokens are bound to.
type Pod struct {
	Namespace      string
	Name           string
	UID            string // derived like a service account's
	ServiceAccount string // by name, in the pod's namespace
	Node           string // by name; "": Options.Node
	NodeUID        string // derived
}

// PutServiceAccount creates a service account or replaces its annotations. One
// that was removed and is put again has another UID, as in a cluster.
func (i *Issuer) PutServiceAccount(namespace, name string, annotations map[string]string) ServiceAccount {
	account, _ := i.putServiceAccount(namespace, name, annotations, either)
	return account
}

// presence is whether something has to be there, or must not be, before it is written.
type presence int

const (
	either presence = iota
	absent
	present
)

// putServiceAccount is PutServiceAccount of a service account that is only written as it is absent,
// or present.
func (i *Issuer) putServiceAccount(namespace, name string, annotations map[string]string, only presence) (ServiceAccount, bool) {
	i.objects.mu.Lock()
	defer i.objects.mu.Unlock()
	key := objectKey{namespace, name}
	account, ok := i.objects.accounts[key]
	if ok && only == absent || !ok && only == present {
		return ServiceAccount{}, false
	}
	if !ok {
		account = ServiceAccount{
			Namespace: namespace, Name: name, CreatedAt: i.clock.Now(),
			UID: i.objects.uid("serviceaccount", namespace, name),
		}
	}
	account.Annotations = maps.Clone(annotations)
	i.objects.accounts[key] = account
	return account.clone(), true
}

// ServiceAccounts returns all service accounts, by namespace and name.
func (i *Issuer) ServiceAccounts() []ServiceAccount {
	i.objects.mu.RLock()
	defer i.objects.mu.RUnlock()
	var sorted []*ServiceAccount // pointers: sorting large structs by value is much code
	for _, account := range i.objects.accounts {
		account = account.clone()
		sorted = append(sorted, &account)
	}
	slices.SortFunc(sorted, func(a, b *ServiceAccount) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	var all []ServiceAccount
	for _, account := range sorted {
		all = append(all, *account)
	}
	return all
}

// RemoveServiceAccount deletes a service account and reports whether it was
// there. Its tokens fail TokenReview from now on; Entra ID, which never asks the
// cluster, accepts them until they expire.
func (i *Issuer) RemoveServiceAccount(namespace, name string) bool {
	i.objects.mu.Lock()
	defer i.objects.mu.Unlock()
	_, ok := i.objects.accounts[objectKey{namespace, name}]
	delete(i.objects.accounts, objectKey{namespace, name})
	return ok
}

// PutPod creates a pod or replaces one; the UIDs given are ignored. The service
// account need not exist before a token is asked for.
func (i *Issuer) PutPod(pod Pod) Pod {
	pod.Node = cmp.Or(pod.Node, i.opts.Node)
	i.objects.mu.Lock()
	defer i.objects.mu.Unlock()
	key := objectKey{pod.Namespace, pod.Name}
	if old, ok := i.objects.pods[key]; ok {
		pod.UID = old.UID
	} else {
		pod.UID = i.objects.uid("pod", pod.Namespace, pod.Name)
	}
	if _, ok := i.objects.nodes[pod.Node]; !ok {
		i.objects.nodes[pod.Node] = i.objects.uid("node", "", pod.Node)
	}
	pod.NodeUID = i.objects.nodes[pod.Node]
	i.objects.pods[key] = pod
	return pod
}

type objectKey struct{ namespace, name string }

// objects is what the cluster holds, as far as tokens are concerned.
type objects struct {
	mu       sync.RWMutex
	space    uuid.UUID // of this cluster's UIDs
	accounts map[objectKey]ServiceAccount
	pods     map[objectKey]Pod
	nodes    map[string]string // name → UID
	births   map[string]int    // how often an object of a kind and name was created
}

func (o *objects) init(url string) {
	o.space = uuid.NewSHA1(uuid.NameSpaceURL, []byte(url))
	o.accounts = map[objectKey]ServiceAccount{}
	o.pods = map[objectKey]Pod{}
	o.nodes = map[string]string{}
	o.births = map[string]int{}
}

// uid derives the UID of a new object; it looks like the random ones (version 4)
// of Kubernetes. o.mu is held.
func (o *objects) uid(kind, namespace, name string) string {
	id := strings.Join([]string{kind, namespace, name}, "/")
	o.births[id]++
	data := append([]byte(id), byte(o.births[id]), byte(o.births[id]>>8))
	return uuid.NewHash(sha256.New(), o.space, data, 4).String()
}

func (o *objects) account(namespace, name string) (ServiceAccount, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	account, ok := o.accounts[objectKey{namespace, name}]
	return account, ok
}

func (o *objects) pod(namespace, name string) (Pod, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	pod, ok := o.pods[objectKey{namespace, name}]
	return pod, ok
}

func (o *objects) node(name string) (uid string, ok bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	uid, ok = o.nodes[name]
	return uid, ok
}

func (a ServiceAccount) clone() ServiceAccount {
	a.Annotations = maps.Clone(a.Annotations)
	return a
}
