package deploy

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
)

// manager is who owns the fields that are applied.
const manager = "wiemu"

// named is how messages call an object: Deployment my-radix-app-dev/web.
func named(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// resource is where objects of a kind are. Kubernetes' own kinds have regular plurals.
func (c *Cluster) resource(o *unstructured.Unstructured) dynamic.ResourceInterface {
	plural, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind())
	if o.GetNamespace() == "" {
		return c.dynamic.Resource(plural)
	}
	return c.dynamic.Resource(plural).Namespace(o.GetNamespace())
}

// Apply makes objects so, one after another, whatever was there (server-side
// apply); tell is told of each. A job that has been there before is replaced: it
// runs again, and nothing of a job can be changed.
func (c *Cluster) Apply(ctx context.Context, objects []*unstructured.Unstructured, tell func(object string)) error {
	for _, o := range objects {
		if o.GetKind() == "Job" {
			if err := c.remove(ctx, o); err != nil {
				return err
			}
		}
		if _, err := c.resource(o).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true}); err != nil {
			return c.explain("apply "+named(o), err)
		}
		tell(named(o))
	}
	return nil
}

// Delete removes objects, the last first, and waits until they are gone; tell is
// told of each that was there.
func (c *Cluster) Delete(ctx context.Context, objects []*unstructured.Unstructured, tell func(object string)) error {
	for _, o := range slices.Backward(objects) {
		if _, err := c.resource(o).Get(ctx, o.GetName(), metav1.GetOptions{}); apierrors.IsNotFound(err) {
			continue
		}
		if err := c.remove(ctx, o); err != nil {
			return err
		}
		tell(named(o))
	}
	return nil
}

// Named returns the objects of a kind that have the same name in every namespace.
func (c *Cluster) Named(ctx context.Context, kind schema.GroupVersionKind, name string) ([]*unstructured.Unstructured, error) {
	plural, _ := meta.UnsafeGuessKindToResource(kind)
	list, err := c.dynamic.Resource(plural).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return nil, c.explain("list "+plural.Resource+" named "+name, err)
	}
	var all []*unstructured.Unstructured
	for i := range list.Items {
		list.Items[i].SetGroupVersionKind(kind)
		all = append(all, &list.Items[i])
	}
	return all, nil
}

// remove deletes an object, if it is there, and what it owns, and waits.
func (c *Cluster) remove(ctx context.Context, o *unstructured.Unstructured) error {
	with := metav1.DeletePropagationForeground
	err := c.resource(o).Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &with})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return c.explain("delete "+named(o), err)
	}
	// Wall time: pods may take their grace.
	err = wait.PollUntilContextTimeout(ctx, c.poll, 90*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := c.resource(o).Get(ctx, o.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		return c.explain(fmt.Sprintf("wait until %s is gone", named(o)), err)
	}
	return nil
}
