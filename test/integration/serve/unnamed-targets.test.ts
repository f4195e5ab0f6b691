import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const PATHS = [
  ...['/', '/readyz', '/healthz', '/mcp/'],
  ...['', '/mcp'].map((suffix) => `/.well-known/oauth-protected-resource${suffix}`),
]

let target: RecordingTarget
let without: Stack
let withVault: Stack
let onlyVault: Stack
beforeAll(async () => {
  target = await startRecordingTarget({})
  const config = { server: { publicUrl: 'http://localhost:8123' } }
  const vault = { url: target.url, access: { roles: ['boss'] } }
  without = await startStack({ config, targets: { shared: target.url } })
  const { identity } = without
  withVault = await startStack({ identity, config, targets: { shared: target.url, vault } })
  onlyVault = await startStack({ identity, config, targets: { vault } })
})
afterAll(async () => {
  await Promise.all([withVault.close(), onlyVault.close()])
  await without.close()
  await target.close()
})

async function read(of: Stack, path: string) {
  const { status, headers, ...response } = await fetch(of.origin + path).then(async (answer) => ({
    status: answer.status,
    headers: answer.headers,
    text: await answer.text(),
  }))
  const kept = [...headers].filter(([name]) => name !== 'date' && name !== 'x-request-id')
  const text = response.text.replace(/"requestId":"[^"]+"/, '')
  return { status, headers: kept, text }
}

describe('a target that does not admit everybody', () => {
  it.each(PATHS)('is not told of without a token, at %s', async (path) => {
    const learned = await read(withVault, path)
    expect(learned).toEqual(await read(without, path))
    expect((await read(onlyVault, path)).text).not.toContain('vault')
  })

  it('keeps its state from whoever asks whether the proxy is ready, and the others theirs', async () => {
    const ready = await fetch(`${withVault.origin}/readyz`)
    expect(await ready.json()).toMatchObject({ ready: true, targets: { shared: 'unknown' } })
  })

  it('leaves metadata without a name, and a page without a list, where it is the only one', async () => {
    const metadata = await fetch(`${onlyVault.origin}/.well-known/oauth-protected-resource`)
    expect(await metadata.json()).not.toHaveProperty('resource_name')
    expect((await read(onlyVault, '/')).text).not.toContain('Behind it')
  })
})
