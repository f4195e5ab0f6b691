import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exposeUri, routeUri } from '../../../src/gateway/uris.js'

const targets = ['docs', 'git', 'a', 'a-b', 'http'].map((name) => ({ name, prefix: name }))

const uri = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('data', 'git+ssh', 'docs', 'http', 'file', 'a+x', 'a-b+x'),
      fc.constantFrom('://', ':', ':///', ':/', '+', '://docs/', '://git/docs/'),
      fc.webPath(),
    )
    .map((parts) => parts.join('')),
  fc.webUrl({ withFragments: true, withQueryParameters: true }),
  fc.string({ unit: 'grapheme' }),
)

describe('resource URIs of several targets', () => {
  it('lead back to the target and its own URI', () => {
    fc.assert(
      fc.property(uri, fc.constantFrom(...targets), fc.boolean(), (own, target, reverse) => {
        const order = reverse ? [...targets].reverse() : targets
        expect(routeUri(order, exposeUri(target, own))).toEqual({ target, uri: own })
      }),
      { numRuns: 2_000 },
    )
  })

  it.each([
    ['data://info', 'data://docs/info'],
    ['file:///etc/{path}', 'file://docs//etc/{path}'],
    ['urn:x', 'docs+urn:x'],
    ['git+ssh://host/repo', 'git+ssh://docs/host/repo'],
    ['x:y?next=z://w', 'x:y?next=z://docs/w'],
    ['', 'docs+'],
  ])('write %j as %s', (own, exposed) => {
    expect(exposeUri(targets[0]!, own)).toBe(exposed)
    expect(routeUri(targets, exposed)).toEqual({ target: targets[0], uri: own })
  })

  it.each(['data://info', 'data://docs', 'data://docsx/info', 'other+urn:x', 'docs', '', '://'])(
    'have no target when they are %j',
    (exposed) => {
      expect(routeUri(targets, exposed)).toBeUndefined()
    },
  )
})
