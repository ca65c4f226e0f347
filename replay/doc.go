// Package replay reads recordings: it finds them, plays them in a terminal and
// writes them in other formats. What a target sent is hostile: whatever reaches
// a terminal goes through Filter first.
package replay
