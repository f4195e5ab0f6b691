import { connect, type Socket } from 'node:net'

export interface Connection {
  socket: Socket
  onBytes: (bytes: Buffer) => void
  onError: (error: Error) => void
}

/** Opens a raw connection that reads into one reused buffer. */
export function openConnection(port: number, bufferBytes: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const buffer = Buffer.allocUnsafeSlow(bufferBytes)
    const onread = {
      buffer,
      callback: (length: number) => {
        try {
          connection.onBytes(buffer.subarray(0, length))
        } catch (error) {
          connection.onError(error as Error)
        }
        return true
      },
    }
    const socket = connect({ host: '127.0.0.1', port, noDelay: true, onread })
    const connection: Connection = { socket, onBytes: () => {}, onError: () => {} }
    socket.on('connect', () => resolve(connection))
    socket.on('error', (error) => {
      reject(error)
      connection.onError(error)
    })
    socket.on('close', () => connection.onError(new Error('connection closed')))
  })
}
