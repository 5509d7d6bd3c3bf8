//go:build dependencies

package harness

import (
	_ "github.com/testcontainers/testcontainers-go"
	_ "github.com/testcontainers/testcontainers-go/modules/compose"
	_ "golang.org/x/crypto/x509roots/fallback/bundle"
	_ "google.golang.org/grpc"
	_ "k8s.io/api/core/v1"
	_ "k8s.io/apimachinery/pkg/apis/meta/v1"
	_ "k8s.io/client-go/kubernetes"
	_ "k8s.io/externaljwt/apis/v1"
	_ "sigs.k8s.io/kind/pkg/cluster"
)
