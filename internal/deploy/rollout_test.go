package deploy

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
)

// deployment is a Deployment web of one pod that has not come far.
func deployment(change func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "app-dev", Name: "web", UID: "d", Generation: 2, Annotations: map[string]string{"deployment.kubernetes.io/revision": "2"}},
		Spec:       appsv1.DeploymentSpec{Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"radix-component": "web"}}},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 1, UpdatedReplicas: 1},
	}
	change(d)
	return d
}

// pod is a pod of web's; revision is that of its ReplicaSet.
func pod(revision string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "app-dev", Name: "web-" + revision, UID: "p", Labels: map[string]string{"radix-component": "web"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-" + revision, Controller: new(true)}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	p.OwnerReferences[0].UID = set(revision).UID
	change(p)
	return p
}

func set(revision string) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "app-dev", Name: "web-" + revision, UID: types.UID("set-" + revision),
		Labels: map[string]string{"radix-component": "web"}, Annotations: map[string]string{"deployment.kubernetes.io/revision": revision}}}
}

func waiting(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", Image: "shop:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	}
}

func job(change func(*batchv1.Job)) *batchv1.Job {
	j := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: "app-dev", Name: "web", UID: "j"},
		Spec:       batchv1.JobSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"radix-component": "web"}}},
	}
	change(j)
	return j
}

func nothing[T any](T) {}

func TestWhyAPodDoesNotRun(t *testing.T) {
	for _, test := range []struct {
		name    string
		objects []runtime.Object
		state   State
		want    []string
	}{
		{"it runs", []runtime.Object{deployment(func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 })}, Running, []string{"1 of 1 pods ready"}},
		{"the controller has not seen the change yet", []runtime.Object{deployment(func(d *appsv1.Deployment) { d.Status.AvailableReplicas, d.Status.ObservedGeneration = 1, 1 })}, Waiting, []string{"1 of 1"}},
		{"a pod of before is still there", []runtime.Object{deployment(func(d *appsv1.Deployment) { d.Status.AvailableReplicas, d.Status.Replicas = 1, 2 })}, Waiting, nil},
		{"it is stopped", []runtime.Object{deployment(func(d *appsv1.Deployment) {
			d.Spec.Replicas = new(int32(0))
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2}
		})}, Running, []string{"0 of 0"}},
		{"an image that is nowhere", []runtime.Object{deployment(nothing), set("2"), pod("2", waiting("ImagePullBackOff", "Back-off pulling image"))}, Failed, []string{"image shop:1 is not in the cluster", "Back-off"}},
		{"an image that may still come", []runtime.Object{deployment(nothing), set("2"), pod("2", waiting("ErrImagePull", "no such host"))}, Waiting, []string{"image shop:1", "no such host"}},
		{"a pod of the revision before does not count", []runtime.Object{deployment(nothing), set("1"), set("2"), pod("1", waiting("ImagePullBackOff", "Back-off"))}, Waiting, []string{"0 of 1"}},
		{"a pod of before a change that nobody has seen yet does not count", []runtime.Object{deployment(func(d *appsv1.Deployment) { d.Status.ObservedGeneration = 1 }), set("2"), pod("2", waiting("ImagePullBackOff", "Back-off"))}, Waiting, []string{"0 of 1"}},
		{"root", []runtime.Object{deployment(nothing), set("2"), pod("2", waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"))}, Failed, []string{"container web cannot be made", "runAsUser: 1000 in radixconfig.yaml"}},
		{"it crashes", []runtime.Object{deployment(nothing), set("2"), pod("2", func(p *corev1.Pod) {
			waiting("CrashLoopBackOff", "back-off")(p)
			p.Status.Phase = corev1.PodRunning
			p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}
		})}, Failed, []string{"exit code 137 (OOMKilled)", "fake logs", "kubectl -n app-dev logs web-2"}},
		{"nowhere to go", []runtime.Object{deployment(nothing), set("2"), pod("2", func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes are available: Insufficient memory"}}
		})}, Waiting, []string{"no node takes its pod", "Insufficient memory"}},
		{"a volume that is missing", []runtime.Object{deployment(nothing), set("2"), pod("2", nothing), &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "app-dev", Name: "e"}, Type: "Warning", Reason: "FailedMount", Message: `configmap "wiemu-trust" not found`, InvolvedObject: corev1.ObjectReference{UID: "p"},
		}}, Waiting, []string{"FailedMount", "wiemu-trust"}},
		{"the webhook refuses it", []runtime.Object{deployment(func(d *appsv1.Deployment) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `admission webhook "x" denied the request: token expiration 5 not valid`}}
		})}, Failed, []string{"its pod cannot be made", "token expiration 5 not valid"}},
		{"the webhook does not answer yet", []runtime.Object{deployment(func(d *appsv1.Deployment) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `failed calling webhook "x": connection refused`}}
		})}, Waiting, []string{"connection refused"}},
		{"the API server asks a proxy instead", []runtime.Object{deployment(func(d *appsv1.Deployment) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `failed calling webhook "x": tls: x509: certificate is valid for example.org`}}
		})}, Waiting, []string{"NO_PROXY"}},
		{"a job that is done", []runtime.Object{job(func(j *batchv1.Job) {
			j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
		})}, Running, []string{"it is done"}},
		{"a job that failed", []runtime.Object{job(func(j *batchv1.Job) {
			j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Message: "backoff limit"}}
		}), pod("2", func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodFailed
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}}}
		})}, Failed, []string{"exit code 1", "fake logs"}},
		{"a job whose pod nobody makes", []runtime.Object{job(nothing), &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "app-dev", Name: "e"}, Type: "Warning", Reason: "FailedCreate", Message: `pods "x" is forbidden: no service account`, InvolvedObject: corev1.ObjectReference{UID: "j"},
		}}, Failed, []string{"no service account"}},
		{"it is not there", nil, Waiting, []string{"it is not there"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &Cluster{client: fake.NewClientset(test.objects...), config: &rest.Config{}, poll: time.Millisecond}
			kind := "Deployment"
			if len(test.objects) > 0 {
				if _, ok := test.objects[0].(*batchv1.Job); ok {
					kind = "Job"
				}
			}
			got, err := c.look(t.Context(), Rollout{Kind: kind, Namespace: "app-dev", Name: "web"})
			if err != nil || got.State != test.state {
				t.Errorf("%+v, %v; want it %s", got, err, test.state)
			}
			for _, want := range test.want {
				if !strings.Contains(got.Doing+" "+got.Next, want) {
					t.Errorf("%+v says nothing of %q", got, want)
				}
			}
		})
	}
}

func TestAwaitNamesEachThatDoesNotRun(t *testing.T) {
	c := &Cluster{Context: "here", client: fake.NewClientset(
		deployment(func(d *appsv1.Deployment) { d.Name = "good"; d.Status.AvailableReplicas = 1 }),
		deployment(nothing), set("2"), pod("2", waiting("ImagePullBackOff", "Back-off")),
	), config: &rest.Config{}, poll: time.Millisecond}
	object := func(kind, name string) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": kind}}
		u.SetNamespace("app-dev")
		u.SetName(name)
		return u
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var told []string
	all, err := c.Await(ctx, []*unstructured.Unstructured{object("Namespace", "app-dev"), object("Deployment", "good"), object("Deployment", "web"), object("Job", "late")},
		func(r Rollout) { told = append(told, r.Name+" "+string(r.State)) })
	if err == nil || strings.Contains(err.Error(), "good") || !strings.Contains(err.Error(), "Deployment app-dev/web: image shop:1") ||
		!strings.Contains(err.Error(), "Job app-dev/late: it is not there, and time is up") {
		t.Errorf("error: %v", err)
	}
	if len(all) != 3 || strings.Join(told, ", ") != "good running, web failed, late waiting" {
		t.Errorf("told %v of %+v", told, all)
	}
}
