package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"sallyport"
)

// decoder walks the nodes of a YAML document and collects what is wrong.
type decoder struct {
	file string
	errs []problem

	users     named
	targets   named
	roles     named
	hooks     named
	members   []ref // users that are named, checked once all are known
	selected  []ref // targets that roles name
	roleLines []roleLines
	keys      map[string]int // the line of each user's key
}

// named remembers the line of each name, and in what order they came.
type named struct {
	line  map[string]int
	lines []int
}

func (d *decoder) bad(n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, problem{file: d.file, line: n.Line, text: fmt.Sprintf(format, args...)})
}

// name notes a name and refuses one that is malformed or taken.
func (d *decoder) name(n *yaml.Node, what string, m *named) string {
	s := d.text(n)
	if s == "" {
		return ""
	}
	if !sallyport.ValidName(s) {
		d.bad(n, "%q cannot name a %s (expected letters, digits, dot, underscore and dash)", s, what)
		return s
	}
	if m.line == nil {
		m.line = map[string]int{}
	}
	if first, ok := m.line[s]; ok {
		d.bad(n, "a second %s named %q (the first is at line %d)", what, s, first)
		return s
	}
	m.line[s] = n.Line
	return s
}

type field struct {
	name     string
	required bool
	read     func(*yaml.Node)
}

// mapping reads a mapping with these fields and no others.
func (d *decoder) mapping(n *yaml.Node, what string, fields ...field) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		d.bad(n, "%s must be a mapping (expected %s)", what, fieldNames(fields))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		j := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		if j < 0 {
			d.bad(key, "unknown field %q in %s (expected %s)", key.Value, what, fieldNames(fields))
			continue
		}
		if first, ok := seen[key.Value]; ok {
			d.bad(key, "a second %q in %s (the first is at line %d)", key.Value, what, first)
			continue
		}
		seen[key.Value] = key.Line
		fields[j].read(resolve(n.Content[i+1]))
	}
	for _, f := range fields {
		if _, ok := seen[f.name]; f.required && !ok {
			d.bad(n, "%s has no %q (expected %s)", what, f.name, fieldNames(fields))
		}
	}
}

func fieldNames(fields []field) string {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	return list(names, "and")
}

// list writes a, b and c.
func list(names []string, and string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " " + and + " " + names[last]
}

func (d *decoder) sequence(n *yaml.Node, what string, read func(*yaml.Node)) {
	if n = resolve(n); n.Kind != yaml.SequenceNode {
		d.bad(n, "%s must be a list (expected [ … ])", what)
		return
	}
	for _, c := range n.Content {
		read(resolve(c))
	}
}

// texts reads a list of texts, each checked by check, which may be nil.
func (d *decoder) texts(n *yaml.Node, what string, check func(*yaml.Node, string)) []string {
	var all []string
	d.sequence(n, what, func(c *yaml.Node) {
		s := d.text(c)
		if s == "" {
			return
		}
		if check != nil {
			check(c, s)
		}
		all = append(all, s)
	})
	return all
}

// text reads a scalar that is not empty.
func (d *decoder) text(n *yaml.Node) string {
	n = resolve(n)
	if n.Kind != yaml.ScalarNode || n.Value == "" || n.Tag == "!!null" {
		d.bad(n, "a value is missing (expected a text)")
		return ""
	}
	return n.Value
}

func (d *decoder) number(n *yaml.Node, least int) int {
	v, err := strconv.Atoi(d.text(n))
	if err != nil || v < least {
		d.bad(n, "%q is no number (expected %d or more)", n.Value, least)
		return least
	}
	return v
}

func (d *decoder) duration(n *yaml.Node) time.Duration {
	s := d.text(n)
	if s == "" {
		return 0
	}
	v, err := sallyport.ParseDuration(s)
	if err != nil {
		d.bad(n, "%q is no duration (expected for example 30m, 1h30m or 2d)", s)
	}
	return v
}

var units = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"", 1}}

// size reads a number of bytes: 16MiB, 512KiB, 1048576.
func (d *decoder) size(n *yaml.Node) int64 {
	s := d.text(n)
	if s == "" {
		return 0
	}
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err == nil && v >= 0 && v <= (1<<62)/u.bytes {
			return v * u.bytes
		}
		break
	}
	d.bad(n, "%q is no size (expected for example 512KiB, 16MiB or 1GiB)", s)
	return 0
}

func oneOf[T ~string](d *decoder, n *yaml.Node, what string, allowed ...T) T {
	s := T(d.text(n))
	if s != "" && !slices.Contains(allowed, s) {
		var names []string
		for _, a := range allowed {
			names = append(names, string(a))
		}
		d.bad(n, "%q is no %s (expected %s)", s, what, list(names, "or"))
	}
	return s
}

// listen reads host:port.
func (d *decoder) listen(n *yaml.Node) string {
	s := d.text(n)
	if s == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		d.bad(n, "%q is no address to listen on (expected host:port, for example %s)", s, DefaultListen)
	}
	return s
}

// address reads the address of a target, host or host:port; the port is 22
// where it is missing.
func (d *decoder) address(n *yaml.Node) string {
	s := d.text(n)
	if s == "" {
		return ""
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if _, err := netip.ParseAddr(bare); err == nil || !strings.Contains(s, ":") {
		s = net.JoinHostPort(bare, "22")
	}
	host, port, err := net.SplitHostPort(s)
	p, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || p == 0 || host == "" || strings.ContainsAny(host, " \t/@") {
		d.bad(n, "%q is no address (expected host or host:port)", n.Value)
	}
	return s
}

func (d *decoder) network(n *yaml.Node, s string) {
	if _, err := netip.ParseAddr(s); err == nil {
		return
	}
	if _, err := netip.ParsePrefix(s); err != nil {
		d.bad(n, "%q is no source address (expected 192.0.2.1 or 192.0.2.0/24)", s)
	}
}

// resolve follows an alias to what its anchor names.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}
