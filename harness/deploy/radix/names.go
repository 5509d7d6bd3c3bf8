package radix

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"maps"
	"math/rand" // names, not secrets
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// known has the kinds that this package makes.
var known = func() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic("radix: " + err.Error()) // Kubernetes' own types register
		}
	}
	return scheme
}()

// What azure-workload-identity looks at. Source: azure-workload-identity,
// pkg/webhook/consts.go.
const (
	clientIDAnnotation = "azure.workload.identity/client-id"
	useLabel           = "azure.workload.identity/use"
)

// Radix' labels. Source: radix-operator, pkg/apis/kube/kube.go and
// pkg/apis/utils/labels/labels.go.

func forApplication(name string) map[string]string { return map[string]string{"radix-app": name} }
func forEnvironment(name string) map[string]string { return map[string]string{"radix-env": name} }
func forComponent(name string) map[string]string   { return map[string]string{"radix-component": name} }

func labels(sets ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return all
}

// variablesName is the ConfigMap with a component's variables. Source:
// radix-operator, pkg/apis/kube/environment_variables.go.
func variablesName(component string) string { return "env-vars-" + component }

const secretLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890"

// secretName is the Secret with a component's secrets: its name, with letters
// that follow from it. Source: radix-operator, pkg/apis/utils/secrets.go
// (GetComponentSecretName) and random.go, of which this is the arithmetic.
func secretName(component string) string {
	const bits, perNumber, length = 6, 63 / 6, 8
	hash := fnv.New64a()
	hash.Write([]byte(component))
	source := rand.NewSource(int64(hash.Sum64()))
	letters := make([]byte, length)
	for i, number, left := length-1, source.Int63(), perNumber; i >= 0; left-- {
		if left == 0 {
			number, left = source.Int63(), perNumber
		}
		if at := int(number & (1<<bits - 1)); at < len(secretLetters) {
			letters[i] = secretLetters[at]
			i--
		}
		number >>= bits
	}
	return strings.ToLower(component + "-" + string(letters))
}

// digest changes with a value: pods are replaced when their variables change.
func digest(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic("radix: " + err.Error()) // maps of text marshal
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
