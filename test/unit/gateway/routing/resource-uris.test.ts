import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  exposeTemplate,
  exposeUri,
  routeUri,
} from '../../../../src/gateway/routing/resource-uris.js'

const names = ['docs', 'Docs', 'git', 'a', 'a-b', 'a_b', 'A_B', 'http', '1', '0x7f', 'localhost']

const targets = [...names, 'xn--a', 'GitHub', 'github', '127'].map((name) => ({
  name,
  prefix: name,
}))

const [docs] = targets as [(typeof targets)[number]]

const scheme = fc.constantFrom(
  ...['http', 'https', 'ws', 'file', 'data', 'note', 'ui', 'git+ssh', 'docs', 'a+x', 'urn'],
  ...['HTTP', 'x', 'docs+note', 'ftp', 't.a-b.c.u1', 'uri'],
)

const piece = fc.constantFrom(
  ...['a', 'B', '..', '.', '', '%2e%2E', '%c3%a9', '%2F', '%', 'é', '文', '😀', ' ', '=', '+', '-'],
  ...['u:p@host', '[::1]:80', 'host:443', 'C:', 'C|', '~', "'", '"', '{id}', '\\', '^', '|', '*'],
  ...['docs', '1', '127.0.0.1', 'xn--a', '\t', '=a', '+a', '-', '@', ';x=1', 'a,b', '$&', '!'],
)

const path = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join('/'))

const end = fc.constantFrom('', '/', '?', '#', '?x=1&y=%20', '#top', '?a#b', '?q={v}', "?q='")

const mark = fc.constantFrom('://', ':///', ':', ':/', '://docs/', '://git/docs/')

const uri = fc.oneof(
  fc.tuple(scheme, mark, path, end).map((parts) => parts.join('')),
  fc.webUrl({ withFragments: true, withQueryParameters: true }),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
)

/** Ways in which clients write a URI anew. */
const normalisers: Record<string, (text: string) => string> = {
  'as it is': (text) => text,
  'new URL': (text) => new URL(text).href,
  'new URL twice': (text) => new URL(new URL(text).href).toString(),
  'a small host, by RFC 3986': (text) =>
    text.replace(/^([a-z][^:]*:\/\/)([^/?#]*)/i, (_, start: string, host: string) => {
      return start.toLowerCase() + host.toLowerCase()
    }),
  'no needless escapes, by RFC 3986': (text) =>
    text.replace(/%[0-9a-f]{2}/gi, (escaped) => {
      const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
      return /[\w.~-]/.test(character) ? character : escaped.toUpperCase()
    }),
  'one slash for two': (text) => text.replace(/(?<!:)\/\/+/g, '/'),
}

describe('resource URIs of several targets', () => {
  it.each(Object.entries(normalisers))(
    'lead back to the target and its own URI, byte for byte: %s',
    (_title, normalise) => {
      fc.assert(
        fc.property(uri, fc.constantFrom(...targets), fc.boolean(), (own, target, reverse) => {
          fc.pre(!/\p{Surrogate}/u.test(own))
          const order = reverse ? [...targets].reverse() : targets
          const exposed = exposeUri(target, own)
          expect(URL.canParse(exposed)).toBe(true)
          expect(routeUri(order, normalise(exposed))).toEqual({ target, uri: own })
        }),
        { numRuns: 2_000 },
      )
    },
  )

  it.each([
    ['data://info', 'data://docs/info'],
    ['ui://weather/view.html', 'ui://docs/weather/view.html'],
    ['file:///etc/hosts', 'file://docs/=/etc/hosts'],
    ['note://a/../b', 'note://docs/+a%2F..%2Fb'],
    ['http://[::1]:80/', 'http://docs/+%5B%3A%3A1%5D%3A80%2F'],
    ['http://u:p@h:80/x?y=1', 'http://docs/u:p@h:80/x?y=1'],
    ['note://', 'note://docs/='],
    ['urn:x', 'docs+urn:x'],
    ['data:text/plain,a%20b', 'docs+data:text/plain,a%20b'],
    ['git+ssh://host/repo', 'git+ssh://docs/host/repo'],
    ['x:y?next=z://w', 'docs+uri:x%3Ay%3Fnext%3Dz%3A%2F%2Fw'],
    ['HTTP://host/', 'docs+uri:HTTP%3A%2F%2Fhost%2F'],
    ['', 'docs+uri:'],
  ])('write %j as %s', (own, exposed) => {
    expect(exposeUri(docs, own)).toBe(exposed)
    expect(routeUri(targets, exposed)).toEqual({ target: docs, uri: own })
  })

  it.each([
    ['{+uri}', { '{+uri}': 'file:///etc/hosts' }, 'file:///etc/hosts'],
    ['{+uri}', { '{+uri}': 'https://h:8443/x?y=1' }, 'https://h:8443/x?y=1'],
    ['{+uri}', { '{+uri}': 'urn:isbn:1' }, 'urn:isbn:1'],
    ['file:///{path}', { '{path}': 'etc' }, 'file:///etc'],
    ['file://{+path}', { '{+path}': '/etc/hosts' }, 'file:///etc/hosts'],
    ['note://list{?x,y}', { '{?x,y}': '?x=1&y=2' }, 'note://list?x=1&y=2'],
    ['note://{?x}', { '{?x}': '?x=1' }, 'note://?x=1'],
    ['http://{host}/{+path}', { '{host}': 'h', '{+path}': 'a/b' }, 'http://h/a/b'],
    ['{scheme}://{host}/x', { '{scheme}': 'note', '{host}': 'h' }, 'note://h/x'],
    ['urn:{id}', { '{id}': 'x' }, 'urn:x'],
  ])(
    'are made of the template %s, and lead back to what it would make',
    (template, values, own) => {
      for (const target of targets) {
        const exposed = exposeTemplate(target, template)
        expect(routeUri(targets, exposed)).toEqual({ target, uri: template })
        let expanded = exposed
        for (const [name, value] of Object.entries(values)) expanded = expanded.replace(name, value)
        for (const [title, normalise] of Object.entries(normalisers)) {
          // a host with slashes before it keeps them
          if (title === 'one slash for two') continue
          expect(routeUri(targets, normalise(expanded))).toEqual({ target, uri: own })
        }
      }
    },
  )

  it.each(['data://info', 'data://docs', 'data://docsx/info', 'other+urn:x', 'docs', '', '://'])(
    'have no target when they are %j',
    (exposed) => {
      expect(routeUri(targets, exposed)).toBeUndefined()
    },
  )

  it.each(['note://docs/+%', 'docs+uri:%ff', 'note://docs/+%c3'])(
    'have no target when they hold no text: %s',
    (exposed) => {
      expect(routeUri(targets, exposed)).toBeUndefined()
    },
  )
})
