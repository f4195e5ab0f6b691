import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Stack, startStack } from '../../helpers/stack.js'
import { connectAs, programTarget } from '../../helpers/targets/programs.js'

let stack: Stack

beforeAll(async () => {
  stack = await startStack({
    targets: {
      hostile: await programTarget({ prefix: 'hostile' }),
      other: await programTarget({ prefix: 'other' }),
    },
  })
})

afterAll(() => stack.close())

const DEEP = 200_000

describe('a program that writes', () => {
  it.each([
    ['arrays', '['.repeat(DEEP) + ']'.repeat(DEEP)],
    ['half of that', '['.repeat(DEEP)],
    ['objects', '{"a":'.repeat(DEEP)],
    [
      'a deep notification',
      `{"jsonrpc":"2.0","method":"notifications/x","params":{"a":${'['.repeat(DEEP)}${']'.repeat(DEEP)}}}`,
    ],
  ])('%s of a depth that nobody reads is ended, and nobody else', async (_title, words) => {
    const mallory = await connectAs(stack, 'mallory')
    const alice = await connectAs(stack, 'alice')
    const before = await alice.call('other_pid')
    const refused = mallory.call('hostile_say', { words }).catch((error: Error) => error.message)
    expect(String(await refused)).toMatch(/cannot be read|nested|said|cut/)
    expect(await alice.call('other_pid')).toBe(before)
    expect(await alice.call('hostile_echo', { text: 'still here' })).toContain('still here')
    await expect.poll(() => stack.logText()).toContain('nested deeper than')
    await mallory.client.close()
    await alice.client.close()
  })
})
