package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/wiemu/wiemu/internal/truncate"
)

// Rollout is the progress of a Deployment or Job.
type Rollout struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	State     State  `json:"state"`
	Doing     string `json:"doing"`           // 1 of 2 pods run; pulling image x
	Next      string `json:"next,omitempty"`  // what to do about it
	Image     string `json:"image,omitempty"` // that is missing
}

// State says whether there is something to wait for.
type State string

// The states.
const (
	Waiting State = "waiting"
	Running State = "running" // as it should
	Failed  State = "failed"  // waiting does not help
)

// String names the object: Deployment my-radix-app-dev/web.
func (r Rollout) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// Await waits until the Deployments and Jobs among the objects run, and reports each
// change. The error names those that do not, with the reason and what to do
// next; it waits for the others until ctx ends.
func (c *Cluster) Await(ctx context.Context, objects []*unstructured.Unstructured, tell func(Rollout)) ([]Rollout, error) {
	var all []Rollout
	for _, o := range objects {
		if kind := o.GetKind(); kind == "Deployment" || kind == "Job" {
			all = append(all, Rollout{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), State: Waiting})
		}
	}
	tick := time.NewTicker(c.poll) // wall time: the cluster's
	defer tick.Stop()
	for {
		for i, before := range all {
			if before.State != Waiting {
				continue
			}
			now, err := c.look(ctx, before)
			if err != nil && ctx.Err() == nil {
				return all, c.explain("look at "+before.String(), err)
			}
			if err == nil && now != before {
				all[i] = now
				tell(now)
			}
		}
		if !slices.ContainsFunc(all, func(r Rollout) bool { return r.State == Waiting }) {
			return all, failures(all, "")
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return all, context.Cause(ctx)
			}
			return all, failures(all, ", and time is up")
		case <-tick.C:
		}
	}
}

func failures(all []Rollout, waiting string) error {
	var errs []error
	for _, r := range all {
		switch {
		case r.State == Running:
			continue
		case r.State == Waiting && r.Doing == "":
			r.Doing = "nothing has happened"
		}
		text := r.String() + ": " + r.Doing
		if r.State == Waiting {
			text += waiting
		}
		if r.Next != "" {
			text += "; " + r.Next
		}
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}

// Look returns the progress of a Deployment.
func (c *Cluster) Look(ctx context.Context, namespace, deployment string) (Rollout, error) {
	now, err := c.look(ctx, Rollout{Kind: "Deployment", Namespace: namespace, Name: deployment, State: Waiting})
	if err != nil {
		return now, c.explain("look at "+now.String(), err)
	}
	return now, nil
}

func (c *Cluster) look(ctx context.Context, r Rollout) (Rollout, error) {
	now := Rollout{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, State: Waiting}
	seen, err := c.observe(ctx, now)
	if err != nil {
		if apierrors.IsNotFound(err) {
			now.Doing = "it is not there"
			return now, nil
		}
		return now, err
	}
	seen.judge(&now)
	if now.State == Failed && seen.crashed != nil {
		if log := c.lastWords(ctx, seen.crashed); log != "" {
			now.Doing += ": " + log
		}
	}
	return now, nil
}

type observation struct {
	deployment *appsv1.Deployment // or
	job        *batchv1.Job
	pods       []corev1.Pod   // of the newest revision
	events     []corev1.Event // of the namespace, warnings only, the newest last

	crashed *corev1.Pod // whose program has ended, if judge says so
}

func (c *Cluster) observe(ctx context.Context, r Rollout) (*observation, error) {
	seen := &observation{}
	var selector *metav1.LabelSelector
	var err error
	if r.Kind == "Job" {
		if seen.job, err = c.client.BatchV1().Jobs(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{}); err != nil {
			return nil, err
		}
		selector = seen.job.Spec.Selector
	} else {
		if seen.deployment, err = c.client.AppsV1().Deployments(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{}); err != nil {
			return nil, err
		}
		selector = seen.deployment.Spec.Selector
	}
	list := metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(selector)}
	pods, err := c.client.CoreV1().Pods(r.Namespace).List(ctx, list)
	if err != nil {
		return nil, err
	}
	seen.pods = pods.Items
	if seen.deployment != nil {
		sets, err := c.client.AppsV1().ReplicaSets(r.Namespace).List(ctx, list)
		if err != nil {
			return nil, err
		}
		seen.pods = newest(seen.deployment, sets.Items, seen.pods)
	}
	events, err := c.client.CoreV1().Events(r.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=" + corev1.EventTypeWarning})
	if err != nil {
		return nil, err
	}
	seen.events = events.Items
	slices.SortStableFunc(seen.events, func(x, y corev1.Event) int { return x.LastTimestamp.Compare(y.LastTimestamp.Time) })
	return seen, nil
}

// newest returns the pods of a Deployment's newest revision; older ones are being replaced.
func newest(d *appsv1.Deployment, sets []appsv1.ReplicaSet, pods []corev1.Pod) []corev1.Pod {
	const revision = "deployment.kubernetes.io/revision" // k8s.io/kubectl, pkg/util/deployment
	var of []corev1.Pod
	if d.Status.ObservedGeneration < d.Generation { // what is newest now has no pods yet
		return nil
	}
	for _, set := range sets {
		if set.Annotations[revision] != d.Annotations[revision] {
			continue
		}
		for _, pod := range pods {
			if metav1.IsControlledBy(&pod, &set) {
				of = append(of, pod)
			}
		}
	}
	return of
}

// judge returns the progress, and why there is no more.
func (o *observation) judge(r *Rollout) {
	if o.job != nil {
		o.judgeJob(r)
	} else {
		o.judgeDeployment(r)
	}
	if r.State != Waiting {
		return
	}
	for _, pod := range o.pods {
		if o.judgePod(pod, r) {
			return
		}
	}
	if len(o.pods) == 0 {
		o.judgeNothing(r)
	}
}

func (o *observation) judgeDeployment(r *Rollout) {
	d := o.deployment
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	r.Doing = fmt.Sprintf("%d of %d pods ready", d.Status.AvailableReplicas, want)
	if d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == want && d.Status.AvailableReplicas == want && d.Status.Replicas == want {
		r.State = Running
	}
}

func (o *observation) judgeJob(r *Rollout) {
	r.Doing = "its pod starts"
	for _, condition := range o.job.Status.Conditions {
		if condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Type {
		case batchv1.JobComplete:
			r.State, r.Doing = Running, "it is done"
			return
		case batchv1.JobFailed:
			r.State, r.Doing = Failed, "it failed: "+condition.Message
			for _, pod := range o.pods {
				o.judgePod(pod, r)
			}
			return
		}
	}
	for _, pod := range o.pods {
		if pod.Status.Phase == corev1.PodRunning {
			r.State, r.Doing = Running, "it runs"
		}
	}
}

// judgePod reports whether there is something to say about a pod.
func (o *observation) judgePod(pod corev1.Pod, r *Rollout) bool {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if waiting := status.State.Waiting; waiting != nil && o.judgeWaiting(pod, status, waiting, r) {
			return true
		}
		if ended := status.State.Terminated; ended != nil && ended.ExitCode != 0 {
			o.judgeEnded(pod, status, ended, r)
			r.State = Failed
			return true
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			r.Doing = "no node takes its pod: " + condition.Message
			return true
		}
	}
	if pod.Status.Phase != corev1.PodPending {
		return false
	}
	for _, event := range slices.Backward(o.events) { // such as FailedMount
		if event.InvolvedObject.UID == pod.UID && event.Reason != "Failed" { // the containers' states say more
			r.Doing = event.Reason + ": " + event.Message
			return true
		}
	}
	return false
}

func (o *observation) judgeWaiting(pod corev1.Pod, status corev1.ContainerStatus, waiting *corev1.ContainerStateWaiting, r *Rollout) bool {
	switch waiting.Reason {
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName":
		r.Image = status.Image
		r.Doing = fmt.Sprintf("image %s is not in the cluster and cannot be pulled: %s", status.Image, oneLine(waiting.Message))
		if waiting.Reason != "ErrImagePull" { // which is tried again
			r.State = Failed
		}
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		r.State, r.Doing = Failed, fmt.Sprintf("container %s cannot be made: %s", status.Name, oneLine(waiting.Message))
		if strings.Contains(waiting.Message, "runAsNonRoot") {
			r.Next = "as in Radix, it has to run as a user other than root whose number is known: USER 1000 in its Dockerfile, or runAsUser: 1000 in radixconfig.yaml"
		}
	case "CrashLoopBackOff":
		if ended := status.LastTerminationState.Terminated; ended != nil {
			o.judgeEnded(pod, status, ended, r)
		} else {
			o.crashed, r.Doing = &pod, "container "+status.Name+" ends again and again"
		}
		r.State = Failed
	default:
		return false
	}
	return true
}

func (o *observation) judgeEnded(pod corev1.Pod, status corev1.ContainerStatus, ended *corev1.ContainerStateTerminated, r *Rollout) {
	o.crashed = &pod
	r.Doing = fmt.Sprintf("container %s ended with exit code %d", status.Name, ended.ExitCode)
	if ended.Reason != "" && ended.Reason != "Error" {
		r.Doing += " (" + ended.Reason + ")"
	}
	r.Next = fmt.Sprintf("kubectl -n %s logs %s", pod.Namespace, pod.Name)
}

// judgeNothing returns why there is no pod: the controller could not create one.
func (o *observation) judgeNothing(r *Rollout) {
	message := ""
	if o.deployment != nil {
		for _, condition := range o.deployment.Status.Conditions {
			if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
				message = condition.Message
			}
		}
	} else {
		for _, event := range o.events {
			if event.Reason == "FailedCreate" && event.InvolvedObject.UID == o.job.UID {
				message = event.Message
			}
		}
	}
	if message == "" {
		return
	}
	r.Doing = "its pod cannot be made: " + oneLine(message)
	if strings.Contains(message, "failed calling webhook") && strings.Contains(message, "x509:") {
		// kind hands the proxy variables of its own environment to the API server.
		r.Next = "if the API server runs with HTTPS_PROXY, its NO_PROXY has to name .svc: for a kind cluster, make it with NO_PROXY=.svc in the environment"
	}
	// A webhook may not be ready yet; a real denial will be repeated.
	if strings.Contains(message, "denied the request") || strings.Contains(message, "is forbidden") {
		r.State = Failed
	}
}

// lastWords returns the end of the log of a pod that has ended.
func (c *Cluster) lastWords(ctx context.Context, pod *corev1.Pod) string {
	lines := int64(3)
	for _, previous := range []bool{false, true} {
		data, err := c.client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Previous: previous, TailLines: &lines}).DoRaw(ctx)
		if text := strings.TrimSpace(string(data)); err == nil && text != "" {
			return text
		}
	}
	return ""
}

// oneLine returns a message of the cluster as one line, shortened.
func oneLine(text string) string {
	return truncate.Runes(strings.Join(strings.Fields(text), " "), 400)
}
