package commands

func init() { tables = append(tables, bashForbidden) }

var bashForbidden = []Case{
	{
		Name: "bash: plain", Shell: "bash", Kind: forbidden, Reason: "typed, seen, Enter",
		Steps: []Step{Line(harm)},
	},
	{
		Name: "bash: in one packet", Shell: "bash", Kind: forbidden, Reason: "nothing is echoed when Enter comes",
		Steps: []Step{Keys(harm + "\r")},
	},
	{
		Name: "bash: terminated", Shell: "bash", Kind: forbidden, Rules: terminates, Reason: "the session ends with the line",
		Steps: []Step{Slow(harm), Shown("victim"), Enter},
	},
}
