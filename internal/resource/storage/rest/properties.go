package rest

import (
	"encoding/xml"
	"maps"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/storage"
)

// Properties are those of a service of an account, as clients set them. Nothing follows
// from them: there are no logs, metrics or rules for browsers. The zero value has what a
// new account has.
type Properties struct {
	set map[string]string // the content of elements, by name
}

// elements are the parts of a document of properties, in their order, with what they are
// in a new account; those only of blobs are marked. Documented: Get Blob Service
// Properties, Get Queue Service Properties.
func elements(s storage.Service) [][2]string {
	const off = `<Enabled>false</Enabled>`
	const metrics = `<Version>1.0</Version>` + off + `<RetentionPolicy>` + off + `</RetentionPolicy>`
	all := [][2]string{
		{"Logging", `<Version>1.0</Version><Delete>false</Delete><Read>false</Read><Write>false</Write><RetentionPolicy>` + off + `</RetentionPolicy>`},
		{"HourMetrics", metrics},
		{"MinuteMetrics", metrics},
		{"Cors", ``},
	}
	if s == storage.Blob {
		all = append(all, [][2]string{{"DefaultServiceVersion", ``}, {"DeleteRetentionPolicy", off}, {"StaticWebsite", off}}...)
	}
	return all
}

// Document returns the properties of a service as XML.
func (p Properties) Document(s storage.Service) string {
	var b strings.Builder
	b.WriteString("<StorageServiceProperties>")
	for _, e := range elements(s) {
		name, content := e[0], e[1]
		if set, ok := p.set[name]; ok {
			content = set
		} else if name == "DefaultServiceVersion" { // unless somebody set it, there is none
			continue
		}
		b.WriteString("<" + name + ">" + content + "</" + name + ">")
	}
	b.WriteString("</StorageServiceProperties>")
	return b.String()
}

// MaxDocument is how many bytes of properties, policies or tags a request may have. A
// document of the service's is far from it (rules of Cors may have 2 KiB in all:
// documented, Set Blob Service Properties).
const MaxDocument = 64 << 10

// With returns the properties after a client has set some; what it leaves out stays.
func (p Properties) With(set Properties) Properties {
	next := Properties{map[string]string{}}
	maps.Copy(next.set, p.set)
	maps.Copy(next.set, set.set)
	return next
}

// ReadProperties reads those that a client sets.
func ReadProperties(body []byte, s storage.Service) (p Properties, failed *storage.Error) {
	if len(body) > MaxDocument {
		return p, TooLarge()
	}
	var document struct {
		XMLName  xml.Name `xml:"StorageServiceProperties"`
		Elements []struct {
			XMLName xml.Name
			Content string `xml:",innerxml"`
		} `xml:",any"`
	}
	if xml.Unmarshal(body, &document) != nil {
		return p, BadXML()
	}
	p.set = map[string]string{}
	for _, e := range document.Elements {
		if !slices.ContainsFunc(elements(s), func(known [2]string) bool { return known[0] == e.XMLName.Local }) {
			return Properties{}, Bad("UnsupportedXmlNode", "One of the XML nodes specified in the request is not supported.")
		}
		p.set[e.XMLName.Local] = e.Content
	}
	return p, nil
}

// maxPolicies is how many stored access policies there may be. Documented: Set Container
// ACL, Set Queue ACL.
const maxPolicies = 5

// Policies reads the body of Set Container ACL or Set Queue ACL and returns it as it is
// given back. Nothing asks stored policies: SAS that name one are signed with the account's
// key, and those are refused.
func Policies(body []byte) (string, *storage.Error) {
	if len(body) > MaxDocument {
		return "", TooLarge()
	}
	var list struct {
		XMLName  xml.Name `xml:"SignedIdentifiers"`
		Policies []struct {
			ID string `xml:"Id"`
		} `xml:"SignedIdentifier"`
		Content string `xml:",innerxml"`
	}
	if len(body) > 0 && xml.Unmarshal(body, &list) != nil || len(list.Policies) > maxPolicies {
		return "", BadXML()
	}
	for _, p := range list.Policies {
		if p.ID == "" || len(p.ID) > 64 {
			return "", BadXML()
		}
	}
	if len(list.Policies) == 0 {
		return "<SignedIdentifiers />", nil
	}
	return "<SignedIdentifiers>" + list.Content + "</SignedIdentifiers>", nil
}
