import { connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startCli } from '../helpers/cli.js'
import { createFolder } from '../helpers/folder.js'

const ARGV = ['serve', '--insecure-no-auth', '--port', '0', '--target', 'http://127.0.0.1:9/mcp']

async function startServe() {
  const server = startCli([...ARGV, '--log-format', 'json'], { cwd: createFolder() })
  const [, url = ''] = await server.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
  return { ...server, url: new URL(url) }
}

describe('a signal', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('%s ends serve in order', async (signal) => {
    const { child, ended } = await startServe()
    child.kill(signal)
    expect(await ended).toMatchObject({ status: 0, stdout: '' })
  })

  it('SIGINT ends the process at once when it comes again', async () => {
    const { child, ended, url, waitFor } = await startServe()
    const socket = connect(Number(url.port), url.hostname)
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => undefined)
    const head = ['POST /mcp HTTP/1.1', `Host: ${url.host}`, 'Content-Type: application/json']
    socket.write(
      `${[...head, 'Accept: application/json', 'Content-Length: 9'].join('\r\n')}\r\n\r\n{`,
    )
    await new Promise((resolve) => setTimeout(resolve, 300))
    child.kill('SIGINT')
    await waitFor('stderr', /"event":"stopping"/)
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ status: 130 })
  })
})
