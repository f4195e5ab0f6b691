import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import {
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'

let target: RecordingTarget
let other: RecordingTarget
let one: Stack
let two: Stack
beforeAll(async () => {
  target = await startRecordingTarget()
  other = await startRecordingTarget()
  one = await startStack({ targets: { target: target.url } })
  two = await startStack({ targets: { target: target.url, other: other.url } })
})
beforeEach(() => target.clear())
afterAll(async () => {
  await one.close()
  await two.close()
  await target.close()
  await other.close()
})

type Page = { names: string[]; next?: unknown }

/** Has the target list by pages; the first one is asked for without a cursor. */
function pages(byCursor: Record<string, Page>): void {
  target.on('tools/list', ({ cursor = 'first' }) => {
    const { names, next } = byCursor[String(cursor)] ?? { names: ['lost'] }
    const tools = names.map((name) => ({ name, inputSchema: { type: 'object' } }))
    return { tools, ...(next !== undefined && { nextCursor: next }) }
  })
}

/** Reads the list as a client does that follows every cursor; gives up on one without an end. */
async function names(stack: Stack): Promise<string[]> {
  const found: string[] = []
  let cursor: string | undefined
  for (let page = 0; page < 20; page++) {
    const params = cursor === undefined ? {} : { cursor }
    const message = { jsonrpc: '2.0', id: page, method: 'tools/list', params }
    const { result } = await readMessage(await stack.post(message))
    for (const { name } of result.tools as { name: string }[]) {
      if (name.startsWith('target_')) found.push(name.slice('target_'.length))
    }
    if (typeof result.nextCursor !== 'string') return found
    cursor = result.nextCursor
  }
  throw new Error('the list has no end')
}

const LISTS: [string, Record<string, Page>, string[]][] = [
  [
    'ends with ""',
    { first: { names: ['a', 'b'], next: '' }, '': { names: ['a', 'b'], next: '' } },
    ['a', 'b'],
  ],
  [
    'ends with "" on its second page',
    {
      first: { names: ['a'], next: 'x' },
      x: { names: ['b'], next: '' },
      '': { names: ['a'], next: 'x' },
    },
    ['a', 'b'],
  ],
  ['leads on by ""', { first: { names: ['a'], next: '' }, '': { names: ['b'] } }, ['a', 'b']],
  [
    'names the same cursor again',
    { first: { names: ['a'], next: 'x' }, x: { names: ['b'], next: 'x' } },
    ['a', 'b'],
  ],
  ['has an entry twice', { first: { names: ['a', 'b', 'a'] } }, ['a', 'b']],
  ['has an empty page', { first: { names: [], next: 'x' }, x: { names: ['a'] } }, ['a']],
]

describe.each(['one', 'two'])('with %s of targets, a list', (count) => {
  it.each(LISTS)('that %s has each entry once', async (_title, byCursor, expected) => {
    pages(byCursor)
    expect(await names(count === 'one' ? one : two)).toEqual(expected)
  })
})

it('a list of several targets that goes in a longer circle ends where nothing is new', async () => {
  pages({
    first: { names: ['a'], next: 'x' },
    x: { names: ['b'], next: 'y' },
    y: { names: ['a'], next: 'z' },
    z: { names: ['b'], next: 'x' },
  })
  expect(await names(two)).toEqual(['a', 'b'])
})

it.each([
  ['resources/list', 'resources', 'uri'],
  ['resources/templates/list', 'resourceTemplates', 'uriTemplate'],
  ['prompts/list', 'prompts', 'name'],
])(
  '%s of one target has each entry once, as the target wrote it',
  async (method, member, field) => {
    const entry = (key: string) => `{"${field}":"x://${key}","size":12345678901234567890}`
    target.on(method, (_params, { response, id }) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const list = `[${entry('a')}, ${entry('b')}, ${entry('a')}]`
      response.end(`{"jsonrpc":"2.0","id":${id},"result":{"${member}":${list}}}`)
      return NO_ANSWER
    })
    const text = await (await one.post({ jsonrpc: '2.0', id: 1, method, params: {} })).text()
    const prefix = field === 'name' ? 'target_' : ''
    expect(JSON.parse(text).result[member].map((it: Record<string, string>) => it[field])).toEqual(
      field === 'name'
        ? [expect.stringContaining(prefix), expect.stringContaining(prefix)]
        : ['x://a', 'x://b'],
    )
    expect(text.match(/12345678901234567890/g)).toHaveLength(2)
  },
)
