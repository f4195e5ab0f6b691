import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createCursors,
  createEventIds,
  createRequestIds,
  createSigner,
} from '../../../../src/gateway/rewriting/signed-ids.js'

const OLD = 'the secret of yesterday, 32 characters or more'

const NEW = 'the secret of today, which has 32 characters or more'

describe('a mark', () => {
  it('is read by every process with the secret, for its kind and holder only', () => {
    const text = createSigner([NEW]).sign('c', { é: [1] }, 'alice')
    expect(text).toMatch(/^c\.[\w-]+\.[\w-]{16}$/)
    const { verify: read } = createSigner([NEW])
    expect(read('c', text, 'alice')).toEqual({ é: [1] })
    expect(read('e', text, 'alice')).toBeUndefined()
    expect(read('e', text.replace(/^c/, 'e'), 'alice')).toBeUndefined()
    expect(read('c', text, 'bob')).toBeUndefined()
    expect(read('c', text, '')).toBeUndefined()
  })

  it('is still read when the secret has changed, and made with the new one', () => {
    const rotated = createSigner([NEW, OLD])
    expect(rotated.verify('c', createSigner([OLD]).sign('c', 1, ''), '')).toBe(1)
    expect(createSigner([NEW]).verify('c', rotated.sign('c', 2, ''), '')).toBe(2)
    expect(createSigner([OLD]).verify('c', rotated.sign('c', 2, ''), '')).toBeUndefined()
  })

  it('is of one process alone where there is no secret', () => {
    const own = createSigner([])
    const text = own.sign('c', 1, '')
    expect(own.verify('c', text, '')).toBe(1)
    expect(createSigner([]).verify('c', text, '')).toBeUndefined()
  })
})

describe('an event id', () => {
  const ids = createEventIds(createSigner([NEW]))

  it('says where each stream goes on', () => {
    const last = new Map([
      ['a', 's1-7'],
      ['b', 'é'],
    ])
    expect(ids.read(ids.exposeAll(last, 'k') ?? '', 'k')).toEqual({ last })
    const one = ids.exposeOne('a', 's1-7', 'k') ?? ''
    expect(ids.read(one, 'k')).toEqual({ target: 'a', id: 's1-7' })
  })

  it('is not given out when it is too long for a header, and not read either', () => {
    expect(ids.exposeOne('a', 'x'.repeat(5_000), 'k')).toBeUndefined()
    expect(ids.read(`e.${'x'.repeat(5_000)}.x`, 'k')).toBeUndefined()
  })
})

describe('a cursor', () => {
  const cursors = createCursors(createSigner([NEW]))
  const next = new Map([['a', 'after-2']])

  it('leads on in its own list only', () => {
    const cursor = cursors.expose('tools/list', next, 'k')
    expect(cursors.read('tools/list', cursor, 'k')).toEqual(next)
    expect(cursors.read('prompts/list', cursor, 'k')).toBeUndefined()
    expect(cursors.read('tools/list', cursor, 'other')).toBeUndefined()
    expect(cursors.read('tools/list', { cursor }, 'k')).toBeUndefined()
  })
})

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
        expect(idsOf(SECRET).route(exposed)).toEqual({ target, written: JSON.stringify(own) })
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
