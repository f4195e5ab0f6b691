import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRequestIds, createSigner } from '../../../../src/gateway/rewriting/signed-ids.js'

const SECRET = 'a secret of at least 32 characters'

const idsOf = (...secrets: string[]) => createRequestIds(createSigner(secrets))

const ids = idsOf(SECRET)

const id = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.integer(),
  fc.double({ noNaN: true, min: -1e9, max: 1e9 }).map((n) => n + 0),
)

describe('request ids of several targets', () => {
  it('lead back to the target and its own id, in every process with the secret', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), id, (target, own) => {
        const exposed = ids.expose(target, own)
        expect(exposed).toMatch(/^[\w.-]+$/)
        expect(idsOf(SECRET).route(exposed)).toEqual({ target, id: own })
      }),
    )
  })

  it('tell a number from the same digits as text', () => {
    expect(ids.expose('docs', 1)).not.toBe(ids.expose('docs', '1'))
  })

  it('are refused when any character was changed', () => {
    const exposed = ids.expose('docs', 7)
    for (let at = 0; at < exposed.length; at++) {
      for (const other of ['A', 'B', '.', '=', '']) {
        const forged = exposed.slice(0, at) + other + exposed.slice(at + 1)
        if (forged !== exposed) expect(ids.route(forged)).toBeUndefined()
      }
    }
  })

  it('cannot be turned to another target', () => {
    const [, , mark] = ids.expose('docs', 7).split('.')
    const [, payload] = ids.expose('other', 7).split('.')
    expect(ids.route(`p.${payload}.${mark}`)).toBeUndefined()
  })

  it.each([
    7,
    '',
    'p',
    'p.',
    'p..',
    'p...',
    `${ids.expose('docs', 7)}.`,
    idsOf('another secret').expose('docs', 7),
  ])('are not ours: %j', (exposed) => {
    expect(ids.route(exposed)).toBeUndefined()
  })
})
