package issuer

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// kubectl and every client-go client send TokenRequest and TokenReview as
// protobuf (client-go: kubernetes/typed/core/v1 CreateToken, UseProtobufAsDefault)
// and take JSON for an answer. This file reads what they send: the two messages
// of staging/src/k8s.io/api/authentication/v1/generated.proto, in the envelope
// of staging/src/k8s.io/apimachinery/pkg/runtime/generated.proto. Unknown fields
// are skipped.

// protobufMagic begins every object that Kubernetes writes as protobuf.
// Kubernetes: staging/src/k8s.io/apimachinery/pkg/runtime/serializer/protobuf
var protobufMagic = []byte("k8s\x00")

// errProtobuf answers bytes that are no protobuf message.
var errProtobuf = errors.New("provided data does not appear to be a protobuf message")

// protobufObject reads the envelope: what kind of object it is, and its message.
func protobufObject(data []byte) (typeMeta, []byte, error) {
	var meta typeMeta
	var raw []byte
	data, ok := bytes.CutPrefix(data, protobufMagic)
	if !ok {
		return meta, nil, errProtobuf
	}
	err := fields(data, func(number int, _ uint64, value []byte) error {
		switch number {
		case 1:
			return fields(value, func(number int, _ uint64, value []byte) error {
				switch number {
				case 1:
					meta.APIVersion = string(value)
				case 2:
					meta.Kind = string(value)
				}
				return nil
			})
		case 2:
			raw = value
		}
		return nil
	})
	return meta, raw, err
}

// unmarshalProtobuf reads the message TokenRequest.
func (r *tokenRequest) unmarshalProtobuf(data []byte) error {
	return fields(data, func(number int, _ uint64, value []byte) error {
		switch number {
		case 1:
			return r.Metadata.unmarshalProtobuf(value)
		case 2:
			return r.Spec.unmarshalProtobuf(value)
		}
		return nil
	})
}

func (m *objectMeta) unmarshalProtobuf(data []byte) error {
	return fields(data, func(number int, _ uint64, value []byte) error {
		switch number {
		case 1:
			m.Name = string(value)
		case 3:
			m.Namespace = string(value)
		case 5:
			m.UID = string(value)
		}
		return nil
	})
}

func (s *tokenRequestSpec) unmarshalProtobuf(data []byte) error {
	return fields(data, func(number int, integer uint64, value []byte) error {
		switch number {
		case 1:
			s.Audiences = append(s.Audiences, string(value))
		case 3:
			s.BoundObjectRef = &boundObjectReference{}
			return s.BoundObjectRef.unmarshalProtobuf(value)
		case 4:
			seconds := int64(integer)
			s.ExpirationSeconds = &seconds
		}
		return nil
	})
}

func (b *boundObjectReference) unmarshalProtobuf(data []byte) error {
	return fields(data, func(number int, _ uint64, value []byte) error {
		switch number {
		case 1:
			b.Kind = string(value)
		case 2:
			b.APIVersion = string(value)
		case 3:
			b.Name = string(value)
		case 4:
			b.UID = string(value)
		}
		return nil
	})
}

// unmarshalProtobuf reads the message TokenReview.
func (r *tokenReview) unmarshalProtobuf(data []byte) error {
	return fields(data, func(number int, _ uint64, value []byte) error {
		if number != 2 {
			return nil
		}
		return fields(value, func(number int, _ uint64, value []byte) error {
			switch number {
			case 1:
				r.Spec.Token = string(value)
			case 2:
				r.Spec.Audiences = append(r.Spec.Audiences, string(value))
			}
			return nil
		})
	})
}

// fields calls visit for each field of a message: with an integer for a varint,
// with bytes for what has a length, with neither for numbers of fixed width.
// https://protobuf.dev/programming-guides/encoding/
func fields(data []byte, visit func(number int, integer uint64, value []byte) error) error {
	for len(data) > 0 {
		tag, n := binary.Uvarint(data)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return errProtobuf
		}
		data = data[n:]
		var integer uint64
		var value []byte
		switch tag & 7 {
		case 0:
			if integer, n = binary.Uvarint(data); n <= 0 {
				return errProtobuf
			}
		case 1:
			n = 8
		case 5:
			n = 4
		case 2:
			length, m := binary.Uvarint(data)
			if m <= 0 || length > uint64(len(data)-m) {
				return errProtobuf
			}
			n = m + int(length)
			value = data[m:n:n]
		default:
			return errProtobuf // groups have never been used here
		}
		if n > len(data) {
			return errProtobuf
		}
		data = data[n:]
		if err := visit(int(tag>>3), integer, value); err != nil {
			return err
		}
	}
	return nil
}
