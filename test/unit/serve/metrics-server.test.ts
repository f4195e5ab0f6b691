import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { portOf, startMetricsServer } from '../../../src/serve/metrics-server.js'
import { send } from '../../helpers/targets/raw-client.js'

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

async function serve(metricsHost: string, allowedHosts: string[] = []) {
  const source = { text: async () => 'numbers', contentType: 'text/plain' }
  server = await startMetricsServer(source, { metricsHost, metricsPort: 0, allowedHosts })
  const { port, address } = server.address() as AddressInfo
  const ask = async (host: string) => {
    const url = `http://127.0.0.1:${port}/metrics`
    return send(url, { method: 'GET', headers: { host: host.replace('PORT', String(port)) } })
  }
  return { ask, address }
}

describe('the listener of the metrics', () => {
  it.each([
    ['127.0.0.1:PORT', 200],
    ['localhost:PORT', 200],
    ['[::1]:PORT', 200],
    ['evil.example:PORT', 421],
    ['localhost.evil.example', 421],
    ['192.0.2.7:PORT', 421],
  ])('on loopback answers under %s with %i', async (host, status) => {
    const { ask, address } = await serve('127.0.0.1')
    const answer = await ask(host)
    expect([address, answer.status]).toEqual(['127.0.0.1', status])
    if (status === 421) expect(answer.body).toContain(host.split(':', 1)[0])
  })

  it('names its own settings where it cannot listen', async () => {
    await expect(serve('nowhere.invalid')).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      hint: 'Set `server.metricsHost` to 127.0.0.1 or 0.0.0.0.',
    })
    const { address } = await serve('127.0.0.1')
    const metricsPort = portOf(server as Server)
    const source = { text: async () => '', contentType: 'text/plain' }
    const where = { metricsHost: address, metricsPort, allowedHosts: [] }
    await expect(startMetricsServer(source, where)).rejects.toMatchObject({
      hint: 'Stop it, or choose another port with `--metrics-port`.',
    })
  })

  it.each([
    ['10.1.2.3:PORT', 200],
    ['[fd00::7]:PORT', 200],
    ['metrics.internal:PORT', 200],
    ['evil.example:PORT', 421],
    ['localhost:PORT', 421],
  ])('on all addresses answers under %s with %i', async (host, status) => {
    const { ask } = await serve('0.0.0.0', ['metrics.internal'])
    expect((await ask(host)).status).toBe(status)
  })
})
