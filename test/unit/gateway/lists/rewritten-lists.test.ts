import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { ListCache } from '../../../../src/gateway/lists/rewritten-lists.js'

type Id = string | number

const id = fc.oneof(
  fc.integer(),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('"', '\\', '",', '}', 'é', '😀', '\n', '","id":1', ''),
)

/** The orders in which servers write a response's members. */
const ORDERS = [
  ['jsonrpc', 'id', 'result'],
  ['id', 'jsonrpc', 'result'],
  ['id', 'result', 'jsonrpc'],
  ['result', 'jsonrpc', 'id'],
  ['jsonrpc', 'result', 'id'],
  ['result', 'id', 'jsonrpc'],
] as const

const order = fc.constantFrom(...ORDERS)

function answer(of: Id, tool = 'a', members: readonly string[] = ORDERS[0]): Buffer {
  const result = { tools: [{ name: tool, text: '"id":1,"id":2}' }] }
  const message: Record<string, unknown> = { jsonrpc: '2.0', id: of, result }
  return Buffer.from(JSON.stringify(Object.fromEntries(members.map((key) => [key, message[key]]))))
}

/** What rewriting does: other names, nothing else. */
function rewrite(text: string): string {
  const message = JSON.parse(text)
  for (const tool of message.result.tools) tool.name = `docs_${tool.name}`
  return JSON.stringify(message)
}

function learnt(of: Id, bytes: Buffer, key = 'key'): ListCache {
  const cache = new ListCache()
  cache.rewrite(key, JSON.stringify(of), bytes, rewrite)
  return cache
}

describe('ListCache', () => {
  it('answers for another id exactly as rewriting would', () => {
    fc.assert(
      fc.property(id, id, order, (first, second, members) => {
        const bytes = answer(second, 'a', members)
        const cache = learnt(first, answer(first, 'a', members))
        const found = cache.find('key', JSON.stringify(second), bytes)
        expect(found?.toString()).toBe(rewrite(bytes.toString()))
      }),
      { numRuns: 500 },
    )
  })

  it('finds nothing when a byte differs', () => {
    fc.assert(
      fc.property(id, order, fc.nat(), fc.integer({ min: 1, max: 255 }), (of, members, at, xor) => {
        const bytes = answer(of, 'a', members)
        const cache = learnt(of, bytes)
        const changed = Buffer.from(bytes)
        const place = at % changed.length
        changed[place] = (changed[place] as number) ^ xor
        expect(cache.find('key', JSON.stringify(of), changed)).toBeUndefined()
        expect(cache.find('key', JSON.stringify(of), bytes)).toBeDefined()
      }),
      { numRuns: 1_000 },
    )
  })

  it.each([
    ['another tool', '2', answer(2, 'b')],
    ['another order', '2', answer(2, 'a', ORDERS[1])],
    ['another id', '3', answer(2)],
    ['an id of another type', '"2"', answer(2)],
    ['a part', '2', answer(2).subarray(0, -1)],
    ['more', '2', Buffer.concat([answer(2), Buffer.from(' ')])],
    ['nothing', '2', Buffer.alloc(0)],
  ])('finds nothing for %s', (_title, asked, bytes) => {
    const cache = learnt(1, answer(1))
    expect(cache.find('key', asked, bytes)).toBeUndefined()
    expect(cache.find('key', '2', answer(2))).toBeDefined()
  })

  it('keeps views apart', () => {
    expect(learnt(1, answer(1), 'alice').find('bob', '2', answer(2))).toBeUndefined()
  })

  it('rewrites again when the target sends another list, and then knows that one', () => {
    const cache = learnt(1, answer(1))
    const spy = vi.fn(rewrite)
    const ask = (of: number, tool: string) =>
      JSON.parse(cache.rewrite('key', String(of), answer(of, tool), spy).toString())
    expect(ask(2, 'b')).toEqual(JSON.parse(rewrite(answer(2, 'b').toString())))
    expect(spy).toHaveBeenCalledTimes(1)
    expect(ask(3, 'b').id).toBe(3)
    expect(spy).toHaveBeenCalledTimes(1)
    expect(ask(4, 'a').result.tools[0].name).toBe('docs_a')
    expect(spy).toHaveBeenCalledTimes(2)
  })

  it('passes on and does not keep what cannot be rewritten', () => {
    const cache = new ListCache()
    const bytes = answer(1)
    expect(cache.rewrite('key', '1', bytes, () => undefined)).toBe(bytes)
    expect(cache.find('key', '1', bytes)).toBeUndefined()
  })

  it.each([
    ['has white space around its id', '{"jsonrpc":"2.0", "id": 1, "result":{"tools":[]}}'],
    ['has its id between others', '{"x":0,"id":1,"result":{"tools":[]}}'],
    ['has another id inside only', '{"jsonrpc":"2.0","result":{"tools":[],"id":1}}'],
  ])('rewrites but does not keep an answer that %s', (_title, text) => {
    const cache = new ListCache()
    expect(cache.rewrite('key', '1', Buffer.from(text), rewrite).toString()).toBe(rewrite(text))
    expect(cache.find('key', '1', Buffer.from(text))).toBeUndefined()
  })

  it('does not keep more than 8 MiB of one list', () => {
    const big = answer(1, 'x'.repeat(8 * 1024 * 1024))
    expect(learnt(1, big).find('key', '1', big)).toBeUndefined()
  })

  it('forgets the oldest list first', () => {
    const cache = new ListCache(2)
    for (const key of ['a', 'b', 'c']) cache.rewrite(key, '1', answer(1), rewrite)
    const kept = ['a', 'b', 'c'].filter((key) => cache.find(key, '1', answer(1)) !== undefined)
    expect(kept).toEqual(['b', 'c'])
  })
})
