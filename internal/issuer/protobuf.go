package issuer

import (
	"bytes"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// kubectl and every client-go client send TokenRequest and TokenReview as
// protobuf (client-go: kubernetes/typed/core/v1 CreateToken, UseProtobufAsDefault),
// controller-runtime ServiceAccount, too, and take JSON for an answer. This file
// reads what they send: messages of staging/src/k8s.io/api/authentication/v1 and
// core/v1/generated.proto, with the metadata of
// staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto, in the envelope
// of staging/src/k8s.io/apimachinery/pkg/runtime/generated.proto. Unknown fields
// are skipped.

// protobufMagic begins every object that Kubernetes writes as protobuf.
// Kubernetes: staging/src/k8s.io/apimachinery/pkg/runtime/serializer/protobuf
var protobufMagic = []byte("k8s\x00")

var errProtobuf = errors.New("provided data does not appear to be a protobuf message")

// protobufObject reads the envelope: what kind of object it is, and its message.
func protobufObject(data []byte) (meta typeMeta, raw []byte, err error) {
	data, ok := bytes.CutPrefix(data, protobufMagic)
	if !ok {
		return meta, nil, errProtobuf
	}
	err = protobufFields{
		1: func() protobufFields { return protobufFields{1: &meta.APIVersion, 2: &meta.Kind} },
		2: &raw,
	}.read(data)
	return meta, raw, err
}

func (r *tokenRequest) protobuf() protobufFields {
	return protobufFields{
		1: func() protobufFields {
			return protobufFields{1: &r.Metadata.Name, 3: &r.Metadata.Namespace, 5: &r.Metadata.UID}
		},
		2: func() protobufFields {
			return protobufFields{1: &r.Spec.Audiences, 3: r.Spec.boundObject, 4: &r.Spec.ExpirationSeconds}
		},
	}
}

func (s *tokenRequestSpec) boundObject() protobufFields {
	s.BoundObjectRef = &BoundObject{}
	return protobufFields{1: &s.BoundObjectRef.Kind, 2: &s.BoundObjectRef.APIVersion, 3: &s.BoundObjectRef.Name, 4: &s.BoundObjectRef.UID}
}

func (r *tokenReview) protobuf() protobufFields {
	return protobufFields{2: func() protobufFields { return protobufFields{1: &r.Spec.Token, 2: &r.Spec.Audiences} }}
}

func (b *serviceAccountBody) protobuf() protobufFields {
	annotation := func() protobufFields {
		entry := &[2]string{}
		b.entries = append(b.entries, entry)
		return protobufFields{1: &entry[0], 2: &entry[1]}
	}
	return protobufFields{1: func() protobufFields {
		return protobufFields{1: &b.Metadata.Name, 3: &b.Metadata.Namespace, 12: annotation}
	}}
}

// protobufFields says where the fields of a message go, by their numbers: into a *[]byte,
// *string, *[]string or **int64, or to the fields of a message within it.
type protobufFields map[protowire.Number]any

func (f protobufFields) read(data []byte) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 || kind == protowire.StartGroupType { // groups have never been used here
			return errProtobuf
		}
		size := protowire.ConsumeFieldValue(number, kind, data[n:])
		if size < 0 {
			return errProtobuf
		}
		field := data[n : n+size]
		data = data[n+size:]
		var value []byte
		var integer uint64
		switch kind {
		case protowire.BytesType:
			value, _ = protowire.ConsumeBytes(field)
		case protowire.VarintType:
			integer, _ = protowire.ConsumeVarint(field)
		}
		switch to := f[number].(type) {
		case *[]byte:
			*to = value
		case *string:
			*to = string(value)
		case *[]string:
			*to = append(*to, string(value))
		case **int64:
			*to = new(int64(integer))
		case func() protobufFields:
			if err := to().read(value); err != nil {
				return err
			}
		}
	}
	return nil
}
