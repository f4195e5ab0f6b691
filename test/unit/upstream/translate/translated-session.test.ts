import { describe, expect, it } from 'vitest'
import {
  readClient,
  readSessionId,
  writeSessionId,
} from '../../../../src/upstream/translate/translated-session.js'

const client = (capabilities: object, clientInfo: object = { name: 'Höst', version: '1' }) =>
  readClient({ protocolVersion: '2025-06-18', capabilities, clientInfo } as never)

describe('the session id of a translated client', () => {
  it('carries the client in the characters that it may have', () => {
    const known = client({ sampling: { tools: {} }, elicitation: { form: {}, url: {} } })
    const id = writeSessionId(known)
    expect(id).toMatch(/^mcp-2026-07-28\.[\x21-\x7e]+$/)
    expect(readSessionId(id)).toEqual(known)
    expect(writeSessionId(known)).not.toBe(id)
  })

  it('leaves out tasks, and what only the older era can say of roots', () => {
    const extensions = { 'io.modelcontextprotocol/tasks': {}, 'io.example/ui': {} }
    const known = client({ tasks: { list: {} }, roots: { listChanged: true }, extensions })
    expect(known.capabilities).toEqual({ roots: {}, extensions: { 'io.example/ui': {} } })
  })

  it.each([
    [{ sampling: {}, experimental: { a: 'x'.repeat(1_000) } }, { sampling: {} }],
    [{ sampling: { a: 'x'.repeat(1_000) } }, {}],
  ])('says less of a client that says too much', (capabilities, kept) => {
    const id = writeSessionId(client(capabilities))
    expect(id.length).toBeLessThanOrEqual(768)
    expect(readSessionId(id)?.capabilities).toEqual(kept)
  })

  it.each(['', 'abc', 'mcp-2026-07-28.', 'mcp-2026-07-28.x.{', 'mcp-2026-07-28.x.[]'])(
    'reads no client from %j',
    (id) => {
      expect(readSessionId(id)).toBeUndefined()
    },
  )
})
