import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import {
  exposeTemplate,
  exposeUri,
  routeUri,
} from '../../../../src/gateway/routing/resource-uris.js'

/** Reads one JSON string a line, and writes what the language's URL type makes of it. */
const PYTHON = `
import json, sys
from pydantic import AnyUrl
for line in sys.stdin:
    print(json.dumps(str(AnyUrl(json.loads(line)))))
`

const GO = `package main
import ("bufio"; "encoding/json"; "fmt"; "net/url"; "os")
func main() {
  in := bufio.NewScanner(os.Stdin)
  in.Buffer(nil, 1<<20)
  for in.Scan() {
    var text string
    json.Unmarshal(in.Bytes(), &text)
    parsed, err := url.Parse(text)
    if err != nil { fmt.Println("null"); continue }
    written, _ := json.Marshal(parsed.String())
    fmt.Println(string(written))
  }
}
`

const folder = mkdtempSync(join(tmpdir(), 'uris-'))

const compiler = 'go'

const script = join(folder, 'main.go')

const program = join(folder, 'main')

writeFileSync(script, GO)

const hasPydantic = spawnSync('python3', ['-c', 'import pydantic; pydantic.AnyUrl']).status === 0

const hasGo =
  spawnSync(compiler, ['build', '-o', program, script], {
    env: { ...process.env, GO111MODULE: 'off' },
  }).status === 0

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const targets = ['docs', 'GitHub', 'a_b', '1', 'localhost'].map((name) => ({ name, prefix: name }))

const own = [
  ...['file:///etc/hosts', 'file:///C:/x', 'file://C:/x', 'file://localhost/x', 'FILE:///x'],
  ...['data:text/plain;base64,aGk=', 'data://info', 'urn:isbn:1', 'mailto:a@b', 'note:a//b'],
  ...[
    'http://[::1]:80/x',
    'https://u:p@Host:443/',
    'http://h',
    'http://h?',
    'http://h/#',
    'ws://h/',
  ],
  ...[
    'note://a/../b',
    'note://a/./b',
    'note://a/%2e%2e/b',
    'note://a//b',
    'note://a/..',
    'note://..',
  ],
  ...[
    'note://é/文?ü=😀#é',
    'note://a b',
    'note://a%20b',
    'note://%c3%a9',
    'note://%7Ea',
    'note://a%2Fb',
  ],
  ...[
    'ui://weather/view.html',
    'git+ssh://h/r',
    'note://a?x=1&y=%20z',
    'note://a/b;v=1,2',
    'note://',
  ],
  ...[
    'relative/path',
    '',
    '?',
    '#',
    '{id}',
    'note://{id}',
    "note://it's",
    'note://a|b^c`d',
    'x:y?z=a://b',
  ],
]

const generated = fc.sample(
  fc
    .tuple(
      fc.constantFrom('file://', 'http://', 'note://', 'ui://', 'urn:', ''),
      fc.string({ unit: 'grapheme' }),
    )
    .map((parts) => parts.join(''))
    .filter((text) => !/\p{Surrogate}/u.test(text)),
  { numRuns: 300, seed: 11 },
)

const templates: [template: string, filledIn: string, own: string][] = [
  ['{+uri}', 'file:///etc/hosts', 'file:///etc/hosts'],
  ['{+uri}', 'https://h/x?y=1', 'https://h/x?y=1'],
  ['{+uri}', 'urn:x', 'urn:x'],
  ['file://{+path}', '/etc/hosts', 'file:///etc/hosts'],
  ['note://a{?x}', '?x=1', 'note://a?x=1'],
]

describe.each([
  ['pydantic', hasPydantic, 'python3', ['-c', PYTHON]],
  ['net/url of Go', hasGo, program, []],
])('resource URIs of several targets, written anew by %s', (_title, isThere, command, args) => {
  it.skipIf(!isThere)('lead back to the target and its own URI, byte for byte', () => {
    const wanted = targets.flatMap((target) => [
      ...[...own, ...generated].map((uri) => ({ target, uri, exposed: exposeUri(target, uri) })),
      ...templates.map(([template, value, uri]) => {
        const exposed = exposeTemplate(target, template).replace(/\{.*\}/, value)
        return { target, uri, exposed }
      }),
    ])
    const input = wanted.map(({ exposed }) => JSON.stringify(exposed)).join('\n')
    const { stdout, stderr } = spawnSync(command, args, { input, encoding: 'utf8' })
    const written = stdout.trim().split('\n')
    expect(written.length, stderr).toBe(wanted.length)
    for (const [at, { target, uri }] of wanted.entries()) {
      const line = written[at] ?? 'null'
      expect(routeUri(targets, JSON.parse(line) ?? ''), `${uri}: ${line}`).toEqual({ target, uri })
    }
  })
})
