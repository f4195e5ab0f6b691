import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { type Reloading, startReloading } from '../../helpers/reloading.js'
import { freePort } from '../../helpers/sign-in.js'
import { clock } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { call } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let identity: Identity
let target: RecordingTarget
let serve: Reloading
let metricsPort: number
let headers: Record<string, string>

/** In YAML, as it is written by hand. */
const yaml = (deny: string) => `
descope: { configUrl: "${identity.configUrl}" }
session: { secret: a-session-secret-of-more-than-32-bytes }
server: { metricsPort: ${metricsPort}, workers: 2 }
targets:
  a: { url: "${target.url}", tools: { deny: [${deny}] } }
`

beforeAll(async () => {
  identity = await startIdentity({ clock })
  target = await startRecordingTarget()
  metricsPort = await freePort()
  serve = await startReloading({ config: yaml(''), name: 'config.yaml', identity })
  headers = { authorization: `Bearer ${await serve.token()}` }
})
afterAll(async () => {
  await serve.close()
  await Promise.all([identity.close(), target.close()])
})

/** What each of several new connections is answered, and so each worker. */
const answers = async () => {
  const params = { name: 'a_echo', arguments: {} }
  const all = Array.from({ length: 8 }, () => call(serve.url, 'tools/call', params, { headers }))
  const bodies = (await Promise.all(all)).map(({ body }) => body)
  return new Set(bodies.map((body) => (body.includes('Unknown tool') ? 'denied' : 'allowed')))
}

const metric = async (name: string) => {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
  const line = text.split('\n').find((each) => each.startsWith(name))
  return Number(line?.split(' ').at(-1))
}

describe('several workers', () => {
  it('reload together, and one that starts later has what is in force', async () => {
    expect(await answers()).toEqual(new Set(['allowed']))
    await serve.reload(yaml('echo'))
    expect(await answers()).toEqual(new Set(['denied']))
    // a file that is refused is none for a new worker either
    expect((await serve.reload('targets: [')).event).toBe('config_refused')
    await eventually(async () =>
      expect(await metric('mcp_proxy_config_reloads_total{result="success"}')).toBe(1),
    )
    expect(await metric('mcp_proxy_config_reloads_total{result="refused"}')).toBe(1)
    const last = await metric('mcp_proxy_config_last_success_timestamp_seconds')
    expect(Math.abs(last - Date.now() / 1000)).toBeLessThan(600)
    const [worker] = await childrenOf(serve.pid)
    process.kill(worker as number, 'SIGKILL')
    await eventually(async () => expect(await childrenOf(serve.pid)).not.toContain(worker))
    await eventually(async () => expect(await childrenOf(serve.pid)).toHaveLength(2))
    expect(await answers()).toEqual(new Set(['denied']))
  })

  it('notice that a symbolic link leads elsewhere, as Kubernetes changes a ConfigMap', async () => {
    const versions = ['..one', '..two'].map((name) => join(serve.folder, name))
    for (const [index, folder] of versions.entries()) {
      mkdirSync(folder)
      writeFileSync(join(folder, 'config.yaml'), yaml(index === 0 ? 'echo' : ''))
    }
    const data = join(serve.folder, '..data')
    const point = (to: string) => {
      symlinkSync(to, `${data}.new`)
      renameSync(`${data}.new`, data)
    }
    point('..one')
    await serve.reloaded(() => {
      symlinkSync('..data/config.yaml', `${serve.file}.link`)
      renameSync(`${serve.file}.link`, serve.file)
    })
    expect(await answers()).toEqual(new Set(['denied']))
    const done = await serve.reloaded(() => point('..two'))
    expect(done['changed']).toEqual(['targets.a.tools.deny'])
    expect(await answers()).toEqual(new Set(['allowed']))
  })
})

async function childrenOf(pid: number): Promise<number[]> {
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.trim().split(' ').filter(Boolean).map(Number)
}
