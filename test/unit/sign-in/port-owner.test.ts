import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { listeningProcess, portHolder } from '../../../src/sign-in/port-owner.js'
import { createClock } from '../../../src/util/async.js'
import { acquireLock } from '../../../src/util/lock.js'
import { createSystem } from '../../../src/util/system.js'
import { createDesk, freePort } from '../../helpers/sign-in.js'

const closing: (() => unknown)[] = []

afterEach(() => {
  for (const close of closing.splice(0)) close()
})

async function taken(host: string): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

/** Only Linux says who listens on a port. */
const OWN = process.platform === 'linux' ? { pid: process.pid } : undefined

describe('who holds a callback port', () => {
  it.each(['127.0.0.1', '0.0.0.0', '::1', '::'])(
    '[bridge-busy-port] is told by the system, for %s',
    async (host) => {
      const found = await listeningProcess(await taken(host))
      if (OWN === undefined) expect(found).toBeUndefined()
      else expect(found).toMatchObject({ ...OWN, name: expect.stringMatching(/./) })
    },
  )

  it('[bridge-busy-port] is nobody when nobody listens', async () => {
    expect(await listeningProcess(await freePort())).toBeUndefined()
  })

  it('[bridge-busy-port] is told by our own records where the system tells nothing', async () => {
    const clock = createClock()
    const runtime = { ...createDesk({ target: { grant: GRANT } }).runtime, clock }
    const { folder } = createDesk({ target: { grant: GRANT } })
    const port = await freePort()
    const others = new Map([[port, 'ab']])
    const pending = { portsOfOthers: async () => others } as never
    const ask = () => portHolder({ runtime, pending, key: 'cd', folder }, port)
    expect(await ask()).toBeUndefined()
    const deps = { clock, system: createSystem(process, clock), folder: join(folder, 'locks') }
    const lease = await acquireLock(deps, 'sign-in-ab', { waitMs: 0 })
    expect(await ask()).toBe(`process ${process.pid}, which signs in to another target`)
    await lease?.release()
    expect(await ask()).toBeUndefined()
    expect(await portHolder({ runtime, pending, key: 'cd', folder }, port + 1)).toBeUndefined()
  })
})

const GRANT = { kind: 'issuer', issuer: 'http://127.0.0.1:1', resource: undefined } as const
