package yamlfile

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"

	"go.yaml.in/yaml/v3"
)

// What sigs.k8s.io/yaml makes of one scalar. Sources: its yaml.go, convertToJSONableObject;
// go.yaml.in/yaml/v2, resolve.go. The libraries themselves would be a second parser of YAML in
// every program.

// unmarshalLoose stores a scalar as the library does: by way of JSON, and as text where text is
// expected.
func unmarshalLoose(node *yaml.Node, into any) error {
	value, err := looseValue(node)
	if err != nil {
		return err
	}
	if reflect.TypeOf(into).Elem().Kind() == reflect.String {
		value = looseText(value, "+Inf", "-Inf", "NaN")
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// looseKeyText is the text that a key becomes in JSON.
func looseKeyText(node *yaml.Node) (string, error) {
	value, err := looseValue(node)
	if err != nil {
		return "", err
	}
	if _, large := value.(uint64); large {
		return "", fmt.Errorf("%s is too large for a key", node.Value)
	}
	return looseText(value, ".inf", "-.inf", ".nan"), nil
}

func looseText(value any, inf, minusInf, nan string) string {
	switch v := value.(type) {
	case float64:
		switch {
		case math.IsInf(v, 1):
			return inf
		case math.IsInf(v, -1):
			return minusInf
		case math.IsNaN(v):
			return nan
		}
		return strconv.FormatFloat(v, 'g', -1, 32)
	default:
		return fmt.Sprint(v)
	}
}

// looseValue is a scalar by YAML 1.1: a string, bool, int64, uint64 or float64.
func looseValue(node *yaml.Node) (any, error) {
	tag := ""
	if node.Style&yaml.TaggedStyle != 0 {
		tag = node.ShortTag()
	}
	switch tag {
	case "", "!!bool", "!!int", "!!float":
	case "!!binary":
		data, err := base64.StdEncoding.DecodeString(node.Value)
		return string(data), err
	default:
		return node.Value, nil
	}
	value := plainValue(node.Value)
	found := "!!str"
	switch v := value.(type) {
	case bool:
		found = "!!bool"
	case uint64:
		found = "!!int"
	case int64:
		found = "!!int"
		if tag == "!!float" {
			return float64(v), nil
		}
	case float64:
		found = "!!float"
	}
	if tag != "" && tag != found {
		return nil, fmt.Errorf("%q is %s, not %s", node.Value, found, tag)
	}
	return value, nil
}

var looseFloat = lazyregexp.New(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)

func plainValue(text string) any {
	switch text {
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	case ".nan", ".NaN", ".NAN":
		return math.NaN()
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		return math.Inf(1)
	case "-.inf", "-.Inf", "-.INF":
		return math.Inf(-1)
	case "":
		return text
	}
	if isTruthWord(text) {
		lower := strings.ToLower(text)
		return lower == "y" || lower == "yes" || lower == "on"
	}
	switch first := text[0]; {
	case first == '.':
		if number, err := strconv.ParseFloat(text, 64); err == nil {
			return number
		}
	case first == '+', first == '-', '0' <= first && first <= '9':
		return plainNumber(text)
	}
	return text
}

func plainNumber(text string) any {
	plain := strings.ReplaceAll(text, "_", "")
	if number, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return number
	}
	if number, err := strconv.ParseUint(plain, 0, 64); err == nil {
		return number
	}
	if looseFloat().MatchString(plain) {
		if number, err := strconv.ParseFloat(plain, 64); err == nil {
			return number
		}
	}
	if digits, binary := strings.CutPrefix(plain, "0b"); binary { // with a sign: 0b-1
		if number, err := strconv.ParseInt(digits, 2, 64); err == nil {
			return number
		}
	}
	return text
}
