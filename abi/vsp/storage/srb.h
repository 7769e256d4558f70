/* SPDX-License-Identifier: MIT */
#ifndef ABI_VSP_STORAGE_SRB_H
#define ABI_VSP_STORAGE_SRB_H

/*
 * SRB status of vstor_request.srb_status: the numbers of Windows' storage drivers. Linux' storvsc
 * takes those without a comment as plain failure of the transport.
 */

#define SRB_STATUS_SUCCESS         0x01U
#define SRB_STATUS_ABORTED         0x02U
#define SRB_STATUS_ERROR           0x04U /* look at the SCSI status and the sense data */
#define SRB_STATUS_BUSY            0x05U
#define SRB_STATUS_INVALID_REQUEST 0x06U
#define SRB_STATUS_BUS_RESET       0x0EU
#define SRB_STATUS_DATA_OVERRUN    0x12U
#define SRB_STATUS_INVALID_LUN     0x20U /* Linux removes the device */

#define SRB_STATUS_AUTOSENSE_VALID 0x80U /* besides: there is sense data */

#endif
