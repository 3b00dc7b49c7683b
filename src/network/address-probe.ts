// Asks whether an address is free, for listeners that several threads are going to share: sharing would hide that another process has it.
import { type Address, showAddress } from '../core/config/address.js';
import { transport } from './transport/current.js';

/** The errno of what stands against listening there alone, '' for nothing. The address is free again when this resolves. */
export async function addressTaken(address: Address): Promise<string> {
  if (address.path !== undefined || address.port === 0) return '';
  try {
    const options = { backlog: 1, share: false, mayBeSecured: () => false, onError: () => {} };
    const handle = await transport().listen(address, options, (connection) => connection.close(true));
    await handle.close();
    return '';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? showAddress(address);
  }
}
